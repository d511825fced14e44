"""Dispatch: send messages and return one receipt for each, even if the caller is gone by then.

It connects chunks, the pipeline, batches and the owner of their tasks. Each exchange is a task of the client, so no
receipt is lost if the caller is cancelled. The transport decides when to repeat a send. The client holds the options.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from attrs import frozen

from ..errors import ClientClosed, ConfigurationError, DevinoError
from ..events import BatchFinished, Events, guarded
from ..flow.chunking import Chunk, Chunks
from ..flow.ownership import Owner, hand_over, to_the_end
from ..flow.pipeline import ChunkSource, Pipeline
from ..flow.reading import InRuns
from ..flow.steps import Pacing, Turns
from ..protocol import sending
from ..protocol.filling import AsyncFilled, Filled, RowRuns
from ..protocol.message import Message
from ..protocol.packing import Packed
from ..protocol.receipts import Accepted, NotSent, Receipt, Receipts, Rejected, SendReport, Unconfirmed
from ..transport.breaker import Patience
from ..transport.limits import Limits
from .batches import Batch, Batches, receipts_without_request
from .pieces import SendOptions

if TYPE_CHECKING:
    from ..campaigns.campaign import CampaignRun
    from ..campaigns.journal import Journal
    from ..campaigns.recording import Recording
    from ..campaigns.schedule import Schedule
    from ..campaigns.states import KeyedSend
    from .journaled import Journaled

__all__ = ["CloseReport", "Dispatch", "OnUnclaimed"]

_log = logging.getLogger("devino_async")

OnUnclaimed = Callable[[Sequence[Receipt]], object]


@frozen
class CloseReport:
    """What `aclose` left behind: the messages that became unconfirmed while the client was being closed."""

    unconfirmed: tuple[Unconfirmed, ...] = ()


class Dispatch:
    """Sends chunks of messages, each in a task that outlives its caller."""

    def __init__(
        self,
        batches: Batches,
        owner: Owner,
        turns: Turns,
        *,
        clock: Callable[[], float],
        limits: Limits,
        events: Events,
        on_unclaimed: OnUnclaimed | None,
    ) -> None:
        self._batches = batches
        self._clock = clock
        self._owner = owner
        self._turns = turns
        self._limits = limits
        self._events = events
        self._on_unclaimed = on_unclaimed
        self._closing = False
        self.unconfirmed: list[Unconfirmed] = []
        self._journaled: Journaled | None = None

    def remember_in(self, journal: "Journal", base_url: str, total_for: Callable[[int], float]) -> None:
        """Keep campaigns and keys in this journal. `total_for` gives the time limit of an attempt, by body size."""
        from .journaled import Journaled  # noqa: PLC0415 - a client without a journal does not pay for it

        self._journaled = Journaled(journal, base_url, self._turns, total_for)

    def journaled_for(self, what: str) -> "Journaled":
        """Return the Journaled that the option `what` needs. Raises ConfigurationError without a journal."""
        if self._journaled is None:
            raise ConfigurationError(f"{what} needs a journal: DevinoClient(journal=SQLiteJournal(path))")
        return self._journaled

    def beginning_of(self, campaign: str | None, only_new: bool) -> "Callable[[], Awaitable[CampaignRun]] | None":
        """Return a function that begins a run of this campaign, or None without one. Raises ConfigurationError."""
        if campaign is not None:
            return self.journaled_for("campaign").campaign(campaign, only_new=only_new)
        if only_new:
            raise ConfigurationError("only_new needs a campaign, because it sends what is new in one")
        return None

    def close(self) -> None:
        """Begin nothing more. What becomes unconfirmed from now on is collected in `unconfirmed`."""
        self._closing = True
        if self._journaled is not None:
            self._journaled.close()

    async def aclose(self) -> None:
        """Write what the journal could not write so far. Raises JournalFailed if that fails again."""
        if self._journaled is not None:
            await self._journaled.aclose()

    async def batch(
        self,
        chunk: Chunk[Message],
        options: SendOptions,
        *,
        urgent: bool,
        began: float,
        tags: Sequence["KeyedSend"] = (),
    ) -> Receipts:
        """Send one batch of single sends, the oldest of which began at `began`, by the client's clock.

        `tags` are the keys of the messages, if they have keys. Raises only for misuse. The caller owns the task and
        its receipts.
        """
        recording = self.journaled_for("key").recording(tags) if tags else None
        batch = await self._batches.of_sends(chunk, options, urgent=urgent, began=began, recording=recording)
        return self._finished(batch).receipts

    async def stream(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        batch_size: int,
        options: SendOptions,
        begin: Callable[[], Awaitable["CampaignRun"]] | None = None,
        schedule: "Schedule | None" = None,
    ) -> AsyncGenerator[Receipt, None]:
        """Send any number of messages. Yields a receipt for each, in input order.

        `begin` begins the run of the campaign that they belong to, if there is one. Its recorded receipts need no
        request, so they do not wait for the hours of the schedule.
        """
        self._owner.check_home()
        run = None if begin is None else await begin()
        patience = self._batches.patience_of_stream(self._clock(), schedule, reads_ahead=run is not None)
        try:
            pipeline = self._pipeline(messages, batch_size, options, patience, run)
        except BaseException:
            # What cannot be iterated raises here, before anything below could end the run.
            if run is not None:
                await run.end()
            raise
        pacing = Pacing(self._turns)
        fatal: DevinoError | None = None
        receipts = Receipts()
        unseen: Iterator[Receipt] = iter(())
        try:
            async with aclosing(_batches_of(pipeline, run)) as batches:
                async for batch in batches:
                    fatal = fatal or batch.fatal
                    receipts = batch.receipts
                    for some in receipts.take():
                        unseen = iter(some)
                        for receipt in unseen:
                            yield receipt
                        # A consumer that awaits nothing would otherwise block the event loop for a
                        # whole batch.
                        if self._turns.urgent or pacing.due():
                            await pacing.pause()
        finally:
            # The consumer may have stopped at any yield, or been cancelled at any await above. What
            # it did not get is in `unseen`, in `receipts` and in the pipeline, and nowhere else.
            # Batches that still wait for a lane in trouble are not in flight. They stop waiting, as the caller is gone.
            self._batches.end(patience)
            self._account_for([*unseen, *receipts], pipeline, run)
            if run is not None:
                await self._end_of(run, pipeline.left_tasks)
        if fatal is not None:
            raise fatal

    def _pipeline(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        batch_size: int,
        options: SendOptions,
        patience: Patience,
        run: "CampaignRun | None",
    ) -> Pipeline[Message, Batch]:
        async def send(chunk: Chunk[Message], recording: "Recording") -> tuple[Receipts, DevinoError | None]:
            if self._closing:
                unsent = _unsent_by_closing(chunk)
                return unsent.receipts, unsent.fatal
            batch = await self._batches.of_stream(chunk, options, patience, recording)
            return batch.receipts, batch.fatal

        async def work(chunk: Chunk[Message]) -> Batch:
            if run is not None:
                # Even when the client is closing, messages recorded in the journal get their receipts.
                return self._finished(Batch(*await run.finish(chunk, send)))
            if self._closing:
                return _unsent_by_closing(chunk)
            return self._finished(await self._batches.of_stream(chunk, options, patience))

        filled = messages if isinstance(messages, Filled | AsyncFilled) else None
        chunks: ChunkSource[Message] = Chunks(
            filled.rows if filled else messages,
            encode=InRuns(RowRuns(filled).make) if filled else sending.encode,
            max_count=batch_size,
            max_bytes=self._limits.batch_bytes,
            hold=Packed,
            pacing=Pacing(self._turns, ready=partial(self._batches.until_readable, patience)),
        )
        if run is not None:
            span = batch_size * self._limits.in_flight
            chunks = run.groups(chunks, max_count=batch_size, max_bytes=self._limits.batch_bytes, max_span=span)
        return Pipeline(
            chunks,
            work,
            in_flight=self._limits.in_flight,
            start=self._owner.start,
            stop_after=lambda batch: batch.fatal is not None,
            on_late=lambda left: self.unclaimed(list(_unsent_without_caller(left, run))),
        )

    async def _end_of(self, run: "CampaignRun", left: Sequence["asyncio.Task[Batch]"]) -> None:
        """End a run of a campaign, or let it end with the last of its batches that are still in flight."""

        async def ending() -> None:
            if left:
                await to_the_end(asyncio.wait(left))
            await to_the_end(run.end())

        task = self._owner.start(ending())
        if not left:
            await asyncio.wait({task})

    def _finished(self, batch: Batch) -> Batch:
        if self._closing and batch.receipts.counts[Unconfirmed]:
            unsure = [each for each in batch.receipts if isinstance(each, Unconfirmed)]
            self.unconfirmed += [each for each in unsure if self._journaled is None or self._journaled.is_receipt(each)]
        if self._events.heard(BatchFinished):
            counts = batch.receipts.counts
            self._events.emit(
                BatchFinished(
                    messages=len(batch.receipts),
                    accepted=counts[Accepted],
                    rejected=counts[Rejected],
                    not_sent=counts[NotSent],
                    unconfirmed=counts[Unconfirmed],
                )
            )
        return batch

    def _account_for(
        self, unseen: list[Receipt], pipeline: Pipeline[Message, Batch], run: "CampaignRun | None"
    ) -> None:
        """Report the receipts that the consumer of a stream did not get."""
        left = pipeline.take_left_items()
        if left:
            unseen += _unsent_without_caller(left, run)
        if unseen:
            self.unclaimed(unseen)
        for task in pipeline.left_tasks:
            hand_over(task, lambda batch: self.unclaimed(list(batch.receipts)))

    async def report(self, stream: AsyncGenerator[Receipt, None]) -> SendReport:
        """Return all receipts of a stream, sorted. If the stream raises, the error carries the report so far."""
        receipts: list[Receipt] = []
        try:
            async for receipt in stream:
                receipts.append(receipt)  # noqa: PERF401 - what came before an error counts too
        except DevinoError as error:
            error.report = SendReport.of(receipts)
            raise
        return SendReport.of(receipts)

    def unclaimed(self, receipts: Sequence[Receipt]) -> None:
        """Report receipts whose caller is gone."""
        if self._journaled is not None and not (receipts := [*filter(self._journaled.is_receipt, receipts)]):
            return
        guarded(lambda count: _log.warning("%d receipts were not claimed, their caller was gone", count), len(receipts))
        if self._on_unclaimed is not None:
            guarded(self._on_unclaimed, receipts)


async def _batches_of(pipeline: Pipeline[Message, Batch], run: "CampaignRun | None") -> AsyncGenerator[Batch, None]:
    """Yield the outcome of each batch. After a fatal one, a last batch holds the messages read but never begun."""
    fatal: DevinoError | None = None
    async with aclosing(pipeline.results()) as batches:
        async for batch in batches:
            fatal = fatal or batch.fatal
            yield batch
    if fatal is not None:
        left = pipeline.take_left_items()
        yield Batch(receipts_without_request(left, fatal) if run is None else run.unlooked(left, str(fatal)), fatal)


def _unsent_by_closing(chunk: Chunk[Message]) -> Batch:
    error = sending.never_begun("the client was closed before the message was sent")
    return Batch(sending.receipts_after(error, chunk.items), ClientClosed("the client is closed"))


def _unsent_without_caller(left: list[Message], run: "CampaignRun | None") -> Receipts:
    why = "the caller was gone before the message was sent"
    return sending.receipts_after(sending.never_begun(why), left) if run is None else run.unlooked(left, why)
