"""Batches: sends one chunk of messages, in one POST or in several small ones, and gives a receipt for each message.

A half-open lane admits only a small batch, so the chunk is cut here. What ends a stream is decided here too.
dispatch.py deals with streams and their callers. The transport decides when a send may be repeated.
"""

import asyncio
from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar

from attrs import evolve, frozen

from ..errors import (
    CallFailed,
    DeadlineExceeded,
    DevinoError,
    Forbidden,
    OutcomeUnknown,
    Reason,
    SendingRefused,
    TooManyRequests,
    Unauthorized,
)
from ..events import BatchUnconfirmed, Events
from ..exchange import Call, Lane, Transport
from ..flow.chunking import Chunk
from ..flow.steps import Turns, at_once, in_steps
from ..protocol import send_results, sending
from ..protocol.message import Message
from ..protocol.receipts import Receipts, Rejected, Unconfirmed
from ..transport.breaker import HALF_OPEN_MESSAGES, Breaker, Patience, Ticket, TooManyForHalfOpen
from ..transport.retry import RetryPolicy

__all__ = ["Batch", "Batches", "SendOptions", "receipts_without_request", "utc_now"]

T = TypeVar("T")

# Fewer rejections than this may be an accident of the input.
_MIN_ALL_REJECTED = 100
_MESSAGES_A_STEP = 512


def utc_now() -> datetime:
    """Return what the clock of this machine says."""
    return datetime.now(UTC)


@frozen(kw_only=True, eq=False)
class SendOptions:
    """The options of one POST. Messages with different options never share a POST.

    There is only one object for each combination of options, so that comparing them costs nothing.
    """

    include_segment_id: bool = False
    shorten_url: bool = False

    @staticmethod
    @cache
    def of(include_segment_id: bool, shorten_url: bool) -> "SendOptions":
        """Return the one object for these options."""
        return SendOptions(include_segment_id=bool(include_segment_id), shorten_url=bool(shorten_url))


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
        events: Events,
        today: Callable[[], datetime] = utc_now,
    ) -> None:
        self._transport = transport
        self._breaker = breaker
        self._turns = turns
        self._retry = retry
        self._events = events
        self._today = today

    async def of_sends(self, chunk: Chunk[Message], options: SendOptions, *, urgent: bool, began: float) -> Batch:
        """Send a batch of single sends, the oldest of which began at `began`. Raises only for misuse."""
        lane = Lane.URGENT if urgent else Lane.BULK
        return await self._in_pieces(chunk, options, lane, Patience(began, self._retry.deadline))

    async def of_stream(self, chunk: Chunk[Message], options: SendOptions, patience: Patience) -> Batch:
        """Send a batch of the stream that this patience belongs to. Raises only for misuse."""
        missed = await self._finish(_missed_in(chunk, self._today()))
        if missed:
            batch = await self._without(missed, chunk, options, patience)
        else:
            batch = await self._in_pieces(chunk, options, Lane.BULK, patience)
        if batch.fatal is not None:
            # Other batches of the stream may wait for the lane. Each could leave up to 500 more messages Unconfirmed.
            self._breaker.end(patience)
        return batch

    async def _without(
        self, missed: dict[int, Reason], chunk: Chunk[Message], options: SendOptions, patience: Patience
    ) -> Batch:
        """Send a chunk without some of its messages, which are Rejected here and cost no request."""
        good = [message for at, message in enumerate(chunk.items) if at not in missed]
        slices = await self._finish(sending.encode_in_steps(good))
        batch = Batch(Receipts())
        if good:
            batch = await self._in_pieces(Chunk(good, slices, chunk.position), options, Lane.BULK, patience)
        others = iter(batch.receipts)
        receipts = Receipts()
        receipts.ready(
            [
                Rejected(message, (missed[at],)) if at in missed else next(others)
                for at, message in enumerate(chunk.items)
            ]
        )
        return Batch(receipts, batch.fatal)

    def patience_of_stream(self, began: float) -> Patience:
        """Return what all batches of a stream share."""
        return Patience(began, self._retry.stream_deadline, stream=True)

    def end(self, patience: Patience) -> None:
        """Let no batch of this stream wait for a lane in trouble any longer."""
        self._breaker.end(patience)

    async def until_readable(self, patience: Patience) -> None:
        """Wait while the lane is in trouble. The stream of this patience may read its input after that.

        Raises DeadlineExceeded if the trouble lasts too long for it.
        """
        await self._breaker.until_readable(Lane.BULK, patience, sending.ENDPOINT.operation)

    async def _in_pieces(self, chunk: Chunk[Message], options: SendOptions, lane: Lane, patience: Patience) -> Batch:
        receipts, fatal = Receipts(), None
        rest: Chunk[Message] | None = chunk
        came_to = TooManyForHalfOpen()
        while rest is not None and fatal is None:
            ticket, piece = self._breaker.ticket(lane, patience), rest
            try:
                part, failure = await self._exchange(piece, options, ticket, came_to)
                rest = None
            except TooManyForHalfOpen as cut:
                # The ticket may begin now, but only with this many messages. The rest gets a ticket of its own.
                came_to = cut
                try:
                    small, rest = await self._finish(_cut(piece, HALF_OPEN_MESSAGES))
                except BaseException:
                    ticket.give_back()
                    raise
                if self._closing():
                    ticket.give_back()
                    rest = piece
                    break
                part, failure = await self._exchange(small, options, ticket, came_to)
            receipts.extend(part)
            fatal = await self._fatal(part, failure, ticket)
            if self._closing():
                break
        if rest is not None:
            error = fatal or sending.never_begun("the client was closed before the message was sent")
            receipts.extend(receipts_without_request(rest.items, error))
        return Batch(receipts, fatal)

    def _closing(self) -> bool:
        """Return whether the client is closing. If it is, what remains of a batch must not begin."""
        task = asyncio.current_task()
        return self._breaker.closed or (task is not None and task.cancelling() > 0)

    async def _exchange(
        self, chunk: Chunk[Message], options: SendOptions, ticket: Ticket, came_to: TooManyForHalfOpen
    ) -> tuple[Receipts, CallFailed | None]:
        call = _call_of(chunk, options, ticket, came_to)
        failure: CallFailed
        try:
            answer = await self._transport.exchange(call)
        except CallFailed as error:
            # The attempts have told the lane how they ended. With `retry_on_503` a ticket may still hold a half-open
            # lane even if its batch is too large for that lane.
            ticket.give_back()
            failure = error
        except asyncio.CancelledError:
            # Only closing cancels this task. An attempt under way would have ended as a CallFailed, so there was none.
            failure = sending.never_begun("the client was closed between two attempts, each proved unsent")
        except (DevinoError, TooManyForHalfOpen):
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

    async def _fatal(self, receipts: Receipts, failure: CallFailed | None, ticket: Ticket) -> DevinoError | None:
        """Return the error that ends a stream after this batch, or None. Single sends ignore it."""
        if isinstance(failure, Unauthorized | Forbidden):
            return failure
        if not ticket.patient:
            return None
        if failure is not None and (failure.permanent or isinstance(failure, DeadlineExceeded | TooManyRequests)):
            return failure
        if ticket.struck_out and receipts.counts[Unconfirmed] == len(receipts):
            return _struck_out(failure)
        if self._retry.stop_when_all_rejected and receipts.counts[Rejected] == len(receipts) >= _MIN_ALL_REJECTED:
            reasons = await self._finish(send_results.account_reasons(receipts))
            return SendingRefused(reasons) if reasons else None
        return None


def receipts_without_request(messages: Sequence[Message], fatal: DevinoError) -> Receipts:
    """Return the receipts of messages that were read but never put in a request, because the stream ended."""
    if isinstance(fatal, CallFailed) and fatal.proves_unsent:
        return sending.receipts_after(fatal, messages)
    return sending.receipts_after(sending.never_begun(str(fatal)), messages)


def _call_of(chunk: Chunk[Message], options: SendOptions, ticket: Ticket, came_to: TooManyForHalfOpen) -> Call:
    call = sending.call(
        chunk.slices,
        len(chunk.items),
        include_segment_id=options.include_segment_id,
        shorten_url=options.shorten_url,
        urgent=ticket.lane is Lane.URGENT,
        admission=ticket,
    )
    if came_to.attempt > 1:
        call = evolve(call, attempt=came_to.attempt, counted=came_to.counted, give_up_at=came_to.give_up_at)
    return call


def _missed_in(chunk: Chunk[Message], now: datetime) -> Generator[None, None, dict[int, Reason]]:
    """Return the problems of messages whose scheduled time has passed, by their place in the chunk."""
    missed: dict[int, Reason] = {}
    if (yield from sending.may_be_scheduled(chunk.slices)):
        for at, message in enumerate(chunk.items):
            if (problem := sending.missed_schedule(message, now)) is not None:
                missed[at] = problem
            if at % _MESSAGES_A_STEP == 0:
                yield
    return missed


def _cut(chunk: Chunk[Message], count: int) -> Generator[None, None, tuple[Chunk[Message], Chunk[Message] | None]]:
    """Return the first `count` messages of a chunk, and the others."""
    first, others = chunk.items[:count], chunk.items[count:]
    small = Chunk(first, (yield from sending.encode_in_steps(first)), chunk.position)
    return small, Chunk(others, (yield from sending.encode_in_steps(others)), chunk.position + count)


def _struck_out(failure: CallFailed | None) -> OutcomeUnknown:
    why = "three small batches in a row may or may not have been sent, although the service can be reached"
    error = OutcomeUnknown(why, operation=sending.ENDPOINT.operation)
    if failure is not None:
        error.status, error.body, error.earlier = failure.status, failure.body, (failure,)
    return error
