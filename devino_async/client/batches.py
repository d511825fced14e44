"""Batches: sends one chunk of messages, in one POST or in several small ones, and gives a receipt for each message.

A half-open lane admits only a small batch, so the chunk is cut here. What ends a stream is in endings.py. dispatch.py
deals with streams and their callers. The transport decides when a send may be repeated.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from attrs import frozen

from ..errors import (
    CallFailed,
    CampaignCancelled,
    DevinoError,
    JournalError,
    Reason,
)
from ..events import BatchUnconfirmed, Events
from ..exchange import AlreadyKnown, Claim, Lane, OutOfHours, TooManyForHalfOpen, Transport
from ..flow.chunking import Chunk
from ..flow.steps import Turns, at_once, in_steps
from ..protocol import send_results, sending
from ..protocol.message import Message
from ..protocol.receipt_runs import Receipts
from ..protocol.receipts import Receipt, Rejected, Unconfirmed
from ..transport.breaker import HALF_OPEN_MESSAGES, Breaker, Patience, Ticket
from ..transport.limits import Limits
from ..transport.retry import RetryPolicy
from .endings import fatal_error
from .hours import StreamHours
from .pieces import SendOptions, call_of, cut_after, missed_in, segments_in

if TYPE_CHECKING:
    from ..campaigns.keys import KeyedRecording
    from ..campaigns.recording import Recording
    from ..campaigns.schedule import Schedule

    AnyRecording = Recording | KeyedRecording

__all__ = ["Batch", "Batches", "receipts_without_request", "utc_now"]

T = TypeVar("T")


def utc_now() -> datetime:
    """Return what the clock of this machine says."""
    return datetime.now(UTC)


@frozen
class Batch:
    """What became of one batch. If `fatal` is set, every further batch of its stream would fail too."""

    receipts: Receipts
    fatal: DevinoError | None = None


class Batches:
    """Sends batches through the transport. The caller owns the task. Only closing the client cancels it."""

    def __init__(
        self,
        transport: Transport,
        breaker: Breaker,
        turns: Turns,
        *,
        retry: RetryPolicy,
        limits: Limits,
        events: Events,
        today: Callable[[], datetime] = utc_now,
    ) -> None:
        self._transport = transport
        self._breaker = breaker
        self._turns = turns
        self._retry = retry
        self._counts_segments = limits.segments_per_second is not None
        self._events = events
        self._today = today

    async def of_sends(
        self,
        chunk: Chunk[Message],
        options: SendOptions,
        *,
        urgent: bool,
        began: float,
        recording: "AnyRecording | None" = None,
    ) -> Batch:
        """Send a batch of single sends, the oldest of which began at `began`. Raises only for misuse."""
        lane = Lane.URGENT if urgent else Lane.BULK
        return await self._in_pieces(chunk, options, lane, Patience(began, self._retry.deadline), recording)

    async def of_stream(
        self, chunk: Chunk[Message], options: SendOptions, patience: Patience, recording: "AnyRecording | None" = None
    ) -> Batch:
        """Send a batch of the stream that this patience belongs to. Raises only for misuse.

        With a recording, all messages are recorded before they are sent, and settled before this returns. Outside the
        stream's hours it waits, and nothing is recorded.
        """
        why_never = await self._until_open(patience)
        if why_never is not None:
            return Batch(sending.receipts_after(sending.never_begun(why_never), chunk.items))
        missed = await self._finish(missed_in(chunk, self._today()))
        if missed:
            batch = await self._without(missed, chunk, options, patience, recording)
        else:
            batch = await self._in_pieces(chunk, options, Lane.BULK, patience, recording)
        if batch.fatal is not None:
            # Other batches of the stream may wait for the lane. Each could leave up to 500 more messages Unconfirmed.
            self._breaker.end(patience)
        return batch

    async def _without(
        self,
        missed: dict[int, Reason],
        chunk: Chunk[Message],
        options: SendOptions,
        patience: Patience,
        recording: "AnyRecording | None",
    ) -> Batch:
        """Send a chunk without some of its messages, which are Rejected here and cost no request."""
        rejected: list[Receipt] = [Rejected(chunk.items[at], (problem,)) for at, problem in missed.items()]
        places = [at for at in range(len(chunk.items)) if at not in missed]
        good = [chunk.items[at] for at in places]
        slices = await self._finish(sending.encode_in_steps(good))
        if recording is not None:
            claim = recording.only([*missed]).claim(Chunk([receipt.message for receipt in rejected]))
            await claim.settle(_ready(rejected))
            recording = recording.only(places)
        batch = Batch(Receipts())
        if good:
            batch = await self._in_pieces(Chunk(good, slices), options, Lane.BULK, patience, recording)
        by_place = dict(zip(missed, rejected, strict=True)) | dict(zip(places, batch.receipts, strict=True))
        return Batch(_ready([by_place[at] for at in range(len(chunk.items))]), batch.fatal)

    async def _until_open(self, patience: Patience) -> str | None:
        """Wait until the stream's hours let a batch begin. If they never will, return why."""
        if patience.open_for():
            return None
        # From now on the stream has something to send, so its input waits too.
        patience.reads_ahead = False
        try:
            return await patience.until_open()
        except asyncio.CancelledError:
            # Only closing cancels the task of a batch.
            return "the client was closed before the message was sent"

    def patience_of_stream(
        self, began: float, schedule: "Schedule | None" = None, *, reads_ahead: bool = False
    ) -> Patience:
        """Return what all batches of a stream share. See Patience for `reads_ahead`."""
        patience = Patience(began, self._retry.stream_deadline, stream=True, reads_ahead=reads_ahead)
        if schedule is not None:
            rest = partial(self._breaker.rest, Lane.BULK, patience)
            patience.hours = StreamHours(schedule, now=self._today, rest=rest, events=self._events)
        return patience

    def end(self, patience: Patience) -> None:
        """Stop the batches of this stream from waiting for a lane in trouble."""
        self._breaker.end(patience)

    async def until_readable(self, patience: Patience) -> None:
        """Wait while the lane is in trouble or the stream is out of its hours. It may read its input after that.

        Raises DeadlineExceeded if the trouble lasts too long for it.
        """
        while patience.reads_ahead or await patience.until_open() is None:
            await self._breaker.until_readable(Lane.BULK, patience, sending.ENDPOINT.operation)
            if patience.reads_ahead or patience.open_for():
                return

    async def _in_pieces(
        self,
        chunk: Chunk[Message],
        options: SendOptions,
        lane: Lane,
        patience: Patience,
        recording: "AnyRecording | None" = None,
    ) -> Batch:
        receipts, fatal = Receipts(), None
        rest: Chunk[Message] | None = chunk
        came_to = TooManyForHalfOpen()
        while rest is not None and fatal is None:
            ticket, piece = self._breaker.ticket(lane, patience), rest
            try:
                try:
                    part, failure = await self._recorded(piece, options, ticket, came_to, recording)
                    rest = None
                except TooManyForHalfOpen as cut:
                    # The ticket may begin now, but only with this many messages. The rest gets a ticket of its own.
                    came_to = cut
                    try:
                        small, rest = await self._finish(cut_after(piece, HALF_OPEN_MESSAGES))
                    except BaseException:
                        ticket.give_back()
                        raise
                    if self._closing():
                        ticket.give_back()
                        rest = piece
                        break
                    part, failure = await self._recorded(small, options, ticket, came_to, recording)
            except OutOfHours:
                batch = await self._anew(piece, options, patience, recording)
                receipts.extend(batch.receipts)
                return Batch(receipts, batch.fatal)
            receipts.extend(part)
            stops = self._retry.stop_when_all_rejected
            fatal = await self._finish(fatal_error(part, failure, ticket, stop_when_all_rejected=stops))
            if self._closing():
                break
        if rest is not None:
            error = fatal or sending.never_begun("the client was closed before the message was sent")
            receipts.extend(receipts_without_request(rest.items, error))
        return Batch(receipts, fatal)

    async def _anew(
        self, piece: Chunk[Message], options: SendOptions, patience: Patience, recording: "AnyRecording | None"
    ) -> Batch:
        """Send what did not begin before the hours of its stream ended, as a batch of its own.

        Scheduled times may pass while it waits, and trouble of the evening says nothing about the morning.
        """
        first, last = piece.position, piece.position + len(piece.items)
        rest = None if recording is None else recording.only(range(first, last))
        return await self.of_stream(Chunk(piece.items, piece.slices), options, patience, rest)

    def _closing(self) -> bool:
        """Return whether the client is closing. If it is, what remains of a batch must not begin."""
        task = asyncio.current_task()
        return self._breaker.closed or (task is not None and task.cancelling() > 0)

    async def _recorded(
        self,
        chunk: Chunk[Message],
        options: SendOptions,
        ticket: Ticket,
        came_to: TooManyForHalfOpen,
        recording: "AnyRecording | None",
    ) -> tuple[Receipts, DevinoError | None]:
        """Make one exchange. With a recording, its outcome is written before it is returned."""
        if recording is None:
            return await self._exchange(chunk, options, ticket, came_to)
        claim = recording.claim(chunk, shortened=options.shorten_url)
        chunk = await self._finish(claim.refer(chunk))
        try:
            receipts, failure = await self._exchange(chunk, options, ticket, came_to, claim)
        except JournalError as refused:
            # Nothing was sent. If an earlier attempt recorded this part in the journal, the record must say that.
            receipts = receipts_without_request(chunk.items, refused)
            # The run of a cancelled campaign goes on, to give the receipts of all that was recorded.
            failure = None if isinstance(refused, CampaignCancelled) else refused
        except AlreadyKnown as known:
            places = [at for at in range(len(chunk.items)) if at not in known.receipts]
            receipts, failure = Receipts(), None
            if places:
                items = [chunk.items[at] for at in places]
                rest = Chunk(items, await self._finish(sending.encode_in_steps(items)))
                others = recording.only([chunk.position + at for at in places])
                receipts, failure = await self._recorded(rest, options, ticket, came_to, others)
            by_place = {**known.receipts, **dict(zip(places, receipts, strict=True))}
            return _ready([by_place[at] for at in range(len(chunk.items))]), failure
        await claim.settle(receipts)
        return receipts, failure

    async def _exchange(
        self,
        chunk: Chunk[Message],
        options: SendOptions,
        ticket: Ticket,
        came_to: TooManyForHalfOpen,
        claim: Claim | None = None,
    ) -> tuple[Receipts, DevinoError | None]:
        failure: CallFailed
        try:
            # Not `_finish`: if closing cancels this task while it counts, nothing may begin.
            segments = await in_steps(segments_in(chunk), self._turns) if self._counts_segments else 0
            call = call_of(chunk, options, ticket, came_to, claim, segments=segments)
            answer = await self._transport.exchange(call)
        except CallFailed as error:
            # The attempts have told the lane how they ended. With `retry_on_503` a ticket may still hold a half-open
            # lane even if its batch is too large for that lane.
            ticket.give_back()
            failure = error
        except asyncio.CancelledError:
            # Only closing cancels this task. An attempt under way would have ended as a CallFailed, so there was none.
            failure = sending.never_begun("the client was closed between two attempts, each proved unsent")
        except (DevinoError, TooManyForHalfOpen, OutOfHours, AlreadyKnown):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of one batch must not cost the receipts of others
            failure = sending.unforeseen(error)
            ticket.ended(unconfirmed=True)
        else:
            try:
                receipts = await self._finish(send_results.read(answer, chunk.items))
            except CallFailed as error:
                failure = error
                ticket.ended(unconfirmed=not error.proves_unsent)
            except Exception as error:  # noqa: BLE001
                failure = sending.unforeseen(error)
                ticket.ended(unconfirmed=True)
            else:
                ticket.ended(unconfirmed=receipts.counts[Unconfirmed] == len(receipts))
                return receipts, None
        if not failure.proves_unsent:
            self._events.emit(BatchUnconfirmed(messages=len(chunk.items), error=failure))
        return sending.receipts_after(failure, chunk.items), failure

    async def _finish(self, work: Generator[None, None, T]) -> T:
        try:
            return await in_steps(work, self._turns)
        except asyncio.CancelledError:
            # Closing cancelled this task between two steps. An answer that has arrived is read to its end, or the ids
            # of accepted messages would be lost. The checks of `_closing` make sure that nothing begins after this.
            return at_once(work)


def receipts_without_request(messages: Sequence[Message], fatal: DevinoError) -> Receipts:
    """Return the receipts of messages that were read but never put in a request, because the stream ended."""
    if isinstance(fatal, CallFailed) and fatal.proves_unsent:
        return sending.receipts_after(fatal, messages)
    error = sending.never_begun(str(fatal))
    if isinstance(fatal, JournalError):
        error.__cause__ = fatal
    return sending.receipts_after(error, messages)


def _ready(made: list[Receipt]) -> Receipts:
    receipts = Receipts()
    receipts.ready(made)
    return receipts
