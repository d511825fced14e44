"""Dispatch: send messages and return one receipt for each, even if the caller is gone by then.

It joins chunks, the pipeline, batches and the owner of their tasks. Each exchange is a task of
the client, so that a caller that is cancelled loses no receipt. The transport decides when to repeat a send. The
client holds the options.
"""

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from functools import partial

from attrs import frozen

from ..errors import ClientClosed, DevinoError
from ..events import BatchFinished, Events, guarded
from ..flow.chunking import Chunk, Chunks
from ..flow.ownership import Owner, hand_over
from ..flow.pipeline import Pipeline
from ..flow.steps import Pacing, Turns
from ..protocol import sending
from ..protocol.message import Message
from ..protocol.packing import Packed
from ..protocol.receipts import Accepted, NotSent, Receipt, Receipts, Rejected, Unconfirmed
from ..transport.breaker import Patience
from ..transport.limits import Limits
from .batches import Batch, Batches, SendOptions, receipts_without_request

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

    def close(self) -> None:
        """Begin nothing more. What becomes unconfirmed from now on is gathered in `unconfirmed`."""
        self._closing = True

    async def batch(self, chunk: Chunk[Message], options: SendOptions, *, urgent: bool, began: float) -> Receipts:
        """Send one batch of single sends, the oldest of which began at `began`, by the client's clock.

        Raises only for misuse. The caller owns the task and its receipts.
        """
        return self._finished(await self._batches.of_sends(chunk, options, urgent=urgent, began=began)).receipts

    async def stream(
        self, messages: Iterable[Message] | AsyncIterable[Message], batch_size: int, options: SendOptions
    ) -> AsyncGenerator[Receipt, None]:
        """Send any number of messages. Gives a receipt for each, in input order."""
        self._owner.check_home()
        patience = self._batches.patience_of_stream(self._clock())
        pipeline = self._pipeline(messages, batch_size, options, patience)
        pacing = Pacing(self._turns)
        fatal: DevinoError | None = None
        receipts = Receipts()
        unseen: Iterator[Receipt] = iter(())
        try:
            async with aclosing(_batches_of(pipeline)) as batches:
                async for batch in batches:
                    fatal = fatal or batch.fatal
                    receipts = batch.receipts
                    for run in receipts.take():
                        unseen = iter(run)
                        for receipt in unseen:
                            yield receipt
                        # A consumer that awaits nothing would otherwise block the event loop for a
                        # whole batch.
                        if self._turns.urgent or pacing.due():
                            await pacing.pause()
        finally:
            # The consumer may have stopped at any yield, or been cancelled at any await above. What
            # it was not given is in `unseen`, in `receipts` and in the pipeline, and nowhere else.
            # Batches that still wait for a lane in trouble are not in flight. They stop waiting, as the caller is gone.
            self._batches.end(patience)
            self._account_for([*unseen, *receipts], pipeline)
        if fatal is not None:
            raise fatal

    def _pipeline(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        batch_size: int,
        options: SendOptions,
        patience: Patience,
    ) -> Pipeline[Message, Batch]:
        async def work(chunk: Chunk[Message]) -> Batch:
            if self._closing:
                return _unsent_by_closing(chunk)
            return self._finished(await self._batches.of_stream(chunk, options, patience))

        chunks = Chunks(
            messages,
            encode=sending.encode,
            max_count=batch_size,
            max_bytes=self._limits.batch_bytes,
            hold=Packed,
            pacing=Pacing(self._turns, ready=partial(self._batches.until_readable, patience)),
        )
        return Pipeline(
            chunks,
            work,
            in_flight=self._limits.in_flight,
            start=self._owner.start,
            stop_after=lambda batch: batch.fatal is not None,
            on_late=lambda left: self.unclaimed(list(_unsent_without_caller(left))),
        )

    def _finished(self, batch: Batch) -> Batch:
        if self._closing and batch.receipts.counts[Unconfirmed]:
            self.unconfirmed += [each for each in batch.receipts if isinstance(each, Unconfirmed)]
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

    def _account_for(self, unseen: list[Receipt], pipeline: Pipeline[Message, Batch]) -> None:
        """Report what the consumer of a stream was not given."""
        left = pipeline.take_left_items()
        if left:
            unseen += _unsent_without_caller(left)
        if unseen:
            self.unclaimed(unseen)
        for task in pipeline.left_tasks:
            hand_over(task, lambda batch: self.unclaimed(list(batch.receipts)))

    def unclaimed(self, receipts: Sequence[Receipt]) -> None:
        """Report receipts whose caller is gone."""
        guarded(lambda count: _log.warning("%d receipts were not claimed, their caller was gone", count), len(receipts))
        if self._on_unclaimed is not None:
            guarded(self._on_unclaimed, receipts)


async def _batches_of(pipeline: Pipeline[Message, Batch]) -> AsyncGenerator[Batch, None]:
    """Yield the outcome of each batch. After a fatal one, a last batch holds the messages read but never begun."""
    fatal: DevinoError | None = None
    async with aclosing(pipeline.results()) as batches:
        async for batch in batches:
            fatal = fatal or batch.fatal
            yield batch
    if fatal is not None:
        yield Batch(receipts_without_request(pipeline.take_left_items(), fatal), fatal)


def _unsent_by_closing(chunk: Chunk[Message]) -> Batch:
    error = sending.never_begun("the client was closed before the message was sent")
    return Batch(sending.receipts_after(error, chunk.items), ClientClosed("the client is closed"))


def _unsent_without_caller(left: list[Message]) -> Receipts:
    return sending.receipts_after(sending.never_begun("the caller was gone before the message was sent"), left)
