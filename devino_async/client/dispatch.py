"""Dispatch: messages go down the street and receipts come back, whoever is still there to see them.

Chunks, a call, the pipeline, the transport, the reading of the answer. Each exchange is a task that this file owns, so
that no caller who leaves can lose a receipt. When a send may be repeated is the transport's; options are the client's.
"""

import asyncio
import logging
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from functools import cache

from attrs import frozen

from ..errors import CallFailed, ClientClosed, DevinoError, Forbidden, Unauthorized
from ..events import BatchFinished, BatchUnconfirmed, Events, guarded
from ..exchange import Answer, Transport
from ..flow.chunking import Chunk, Chunks
from ..flow.ownership import Owner, hand_over
from ..flow.pipeline import Pipeline
from ..flow.steps import LONGEST_STEP, Turns, at_once, in_steps
from ..protocol import send_results, sending
from ..protocol.message import Message
from ..protocol.packing import Packed
from ..protocol.receipts import Accepted, NotSent, Receipt, Receipts, Rejected, Unconfirmed
from ..transport.limits import Limits

__all__ = ["Dispatch", "OnUnclaimed", "SendOptions"]

_log = logging.getLogger("devino_async")

OnUnclaimed = Callable[[Sequence[Receipt]], object]


@frozen(kw_only=True, eq=False)
class SendOptions:
    """What is asked of one POST beside its messages; messages with different options never share one.

    There is one object for each choice of options, so that they are told apart at once.
    """

    include_segment_id: bool = False
    shorten_url: bool = False

    @staticmethod
    @cache
    def of(include_segment_id: bool, shorten_url: bool) -> "SendOptions":
        """The one object for these options."""
        return SendOptions(include_segment_id=bool(include_segment_id), shorten_url=bool(shorten_url))


@frozen
class _Batch:
    """What became of one batch; `fatal` makes every further batch pointless."""

    receipts: Receipts
    fatal: DevinoError | None = None


class Dispatch:
    """Sends chunks of messages, each in a task that outlives its caller."""

    def __init__(
        self, transport: Transport, owner: Owner, limits: Limits, events: Events, on_unclaimed: OnUnclaimed | None
    ) -> None:
        self._transport = transport
        self._owner = owner
        self._limits = limits
        self._events = events
        self._on_unclaimed = on_unclaimed
        self._closing = False
        self.turns = Turns()
        self.unconfirmed: list[Unconfirmed] = []

    def close(self) -> None:
        """Begin nothing more. What becomes unconfirmed from now on is gathered in `unconfirmed`."""
        self._closing = True

    async def batch(self, chunk: Chunk[Message], options: SendOptions, *, urgent: bool) -> Receipts:
        """One batch in a POST of its own. Raises only for misuse; whoever calls owns the task and its receipts."""
        return (await self._send_batch(chunk, options, urgent=urgent)).receipts

    async def stream(
        self, messages: Iterable[Message] | AsyncIterable[Message], batch_size: int, options: SendOptions
    ) -> AsyncGenerator[Receipt, None]:
        """Any number of messages, a receipt for each, in input order."""
        self._owner.check_home()
        pipeline = self._pipeline(messages, batch_size, options)
        fatal: DevinoError | None = None
        receipts = Receipts()
        pause_at = 0.0
        unseen: Iterator[Receipt] = iter(())
        try:
            async with aclosing(pipeline.results()) as batches:
                async for batch in batches:
                    fatal = fatal or batch.fatal
                    receipts = batch.receipts
                    for run in receipts.take():
                        unseen = iter(run)
                        for receipt in unseen:
                            yield receipt
                        # A consumer that awaits nothing would otherwise keep the event loop to itself.
                        if self.turns.urgent or time.perf_counter() >= pause_at:
                            await self.turns.give()
                            pause_at = time.perf_counter() + LONGEST_STEP
            if fatal is not None:
                receipts = _receipts_of_left(fatal, pipeline.take_left_items())
                for run in receipts.take():
                    unseen = iter(run)
                    for receipt in unseen:
                        yield receipt
        finally:
            self._account_for([*unseen, *receipts], pipeline)
        if fatal is not None:
            raise fatal

    def _pipeline(
        self, messages: Iterable[Message] | AsyncIterable[Message], batch_size: int, options: SendOptions
    ) -> Pipeline[Message, _Batch]:
        async def work(chunk: Chunk[Message]) -> _Batch:
            batch = _unsent_by_closing(chunk) if self._closing else await self._send_batch(chunk, options)
            if batch.fatal is not None and (running := here()) is not None:
                running.stop()
            return batch

        chunks = Chunks(
            messages,
            encode=sending.encode,
            max_count=batch_size,
            max_bytes=self._limits.batch_bytes,
            hold=Packed,
            turns=self.turns,
        )
        pipeline: Pipeline[Message, _Batch] = Pipeline(
            chunks, work, window=self._limits.in_flight, start=self._owner.start
        )
        # Weak, as what refers to itself would keep the whole input until the next garbage collection.
        here = weakref.ref(pipeline)
        return pipeline

    async def _send_batch(self, chunk: Chunk[Message], options: SendOptions, *, urgent: bool = False) -> _Batch:
        call = sending.call(
            chunk.slices,
            len(chunk.items),
            include_segment_id=options.include_segment_id,
            shorten_url=options.shorten_url,
            urgent=urgent,
        )
        failure: CallFailed | None
        try:
            answer = await self._transport.exchange(call)
            receipts = await self._read(answer, chunk.items)
            failure = None
        except CallFailed as error:
            failure = error
        except asyncio.CancelledError:
            # Only closing cancels this task. The pool tells an attempt under way by its ledger; here none was.
            failure = sending.never_begun("the client was closed between two attempts, each proved unsent")
        except DevinoError:
            raise
        except Exception as error:  # noqa: BLE001 - what nobody foresaw must not cost the receipts of others
            failure = sending.unforeseen(error)
        if failure is None:
            return self._finished(_Batch(receipts))
        receipts = sending.receipts_after(failure, chunk.items)
        if not failure.proves_unsent:
            self._events.emit(BatchUnconfirmed(messages=len(receipts), error=failure))
        return self._finished(_Batch(receipts, failure if isinstance(failure, Unauthorized | Forbidden) else None))

    async def _read(self, answer: Answer, messages: Sequence[Message]) -> Receipts:
        reading = send_results.read(answer, messages)
        try:
            return await in_steps(reading, self.turns)
        except asyncio.CancelledError:
            # An answer that is here is read to its end, or its ids would be lost.
            return at_once(reading)

    def _finished(self, batch: _Batch) -> _Batch:
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

    def _account_for(self, unseen: list[Receipt], pipeline: Pipeline[Message, _Batch]) -> None:
        """Report what the consumer of a stream did not stay to see."""
        left = pipeline.take_left_items()
        if left:
            unseen += sending.receipts_after(sending.never_begun("the caller left before it was sent"), left)
        if unseen:
            self.unclaimed(unseen)
        pipeline.tell_of_late_items(self._left_unsent)
        for task in pipeline.left_tasks:
            hand_over(task, lambda batch: self.unclaimed(list(batch.receipts)))

    def _left_unsent(self, left: list[Message]) -> None:
        self.unclaimed(list(sending.receipts_after(sending.never_begun("the caller left before it was sent"), left)))

    def unclaimed(self, receipts: Sequence[Receipt]) -> None:
        """Report receipts that reach nobody, because their caller has left."""
        guarded(lambda count: _log.warning("%d receipts reached nobody, their caller had left", count), len(receipts))
        if self._on_unclaimed is not None:
            guarded(self._on_unclaimed, receipts)


def _unsent_by_closing(chunk: Chunk[Message]) -> _Batch:
    error = sending.never_begun("the client was closed before the message was sent")
    return _Batch(sending.receipts_after(error, chunk.items), ClientClosed("the client is closed"))


def _receipts_of_left(fatal: DevinoError, left: list[Message]) -> Receipts:
    error = fatal if isinstance(fatal, CallFailed) else sending.never_begun(str(fatal))
    return sending.receipts_after(error, left)
