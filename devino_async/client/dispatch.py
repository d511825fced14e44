"""Dispatch: messages go down the street and come back as receipts, one for each, even if the caller is gone by then.

Chunks, a call, the pipeline, the transport, the reading of the answer. Each exchange is a task of
the client, so that a caller that is cancelled loses no receipt. When a send may be repeated is the
transport's. Options are the client's.
"""

import asyncio
import logging
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
from ..flow.steps import Pacing, Turns, at_once, in_steps
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
    """What is asked of one POST beside its messages. Messages with different options never share a POST.

    There is one object for each choice of options, so that comparing them costs nothing.
    """

    include_segment_id: bool = False
    shorten_url: bool = False

    @staticmethod
    @cache
    def of(include_segment_id: bool, shorten_url: bool) -> "SendOptions":
        """Return the one object for these options."""
        return SendOptions(include_segment_id=bool(include_segment_id), shorten_url=bool(shorten_url))


@frozen
class _Batch:
    """What became of one batch. With `fatal` every further batch would fail too."""

    receipts: Receipts
    fatal: DevinoError | None = None


class Dispatch:
    """Sends chunks of messages, each in a task that outlives its caller."""

    def __init__(
        self,
        transport: Transport,
        owner: Owner,
        turns: Turns,
        *,
        limits: Limits,
        events: Events,
        on_unclaimed: OnUnclaimed | None,
    ) -> None:
        self._transport = transport
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

    async def batch(self, chunk: Chunk[Message], options: SendOptions, *, urgent: bool) -> Receipts:
        """Send one batch in a POST of its own. Raises only for misuse. The caller owns the task and its receipts."""
        return (await self._send_batch(chunk, options, urgent=urgent)).receipts

    async def stream(
        self, messages: Iterable[Message] | AsyncIterable[Message], batch_size: int, options: SendOptions
    ) -> AsyncGenerator[Receipt, None]:
        """Send any number of messages. Gives a receipt for each, in input order."""
        self._owner.check_home()
        pipeline = self._pipeline(messages, batch_size, options)
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
            self._account_for([*unseen, *receipts], pipeline)
        if fatal is not None:
            raise fatal

    def _pipeline(
        self, messages: Iterable[Message] | AsyncIterable[Message], batch_size: int, options: SendOptions
    ) -> Pipeline[Message, _Batch]:
        async def work(chunk: Chunk[Message]) -> _Batch:
            return _unsent_by_closing(chunk) if self._closing else await self._send_batch(chunk, options)

        chunks = Chunks(
            messages,
            encode=sending.encode,
            max_count=batch_size,
            max_bytes=self._limits.batch_bytes,
            hold=Packed,
            pacing=Pacing(self._turns),
        )
        return Pipeline(
            chunks,
            work,
            in_flight=self._limits.in_flight,
            start=self._owner.start,
            stop_after=lambda batch: batch.fatal is not None,
            on_late=lambda left: self.unclaimed(list(_unsent_without_caller(left))),
        )

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
            # Only closing cancels this task. An attempt that is under way ends by the verdict of
            # the pool's ledger, as a CallFailed. So none was under way.
            failure = sending.never_begun("the client was closed between two attempts, each proved unsent")
        except DevinoError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of one batch must not cost the receipts of others
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
            return await in_steps(reading, self._turns)
        except asyncio.CancelledError:
            # Closing cancelled this task between two steps. The answer is here, so it is read to
            # its end: otherwise the ids of accepted messages would be lost.
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


async def _batches_of(pipeline: Pipeline[Message, _Batch]) -> AsyncGenerator[_Batch, None]:
    """What became of each batch. After a fatal one the last is of the messages that were read and never begun."""
    fatal: DevinoError | None = None
    async with aclosing(pipeline.results()) as batches:
        async for batch in batches:
            fatal = fatal or batch.fatal
            yield batch
    if fatal is not None:
        error = fatal if isinstance(fatal, CallFailed) else sending.never_begun(str(fatal))
        yield _Batch(sending.receipts_after(error, pipeline.take_left_items()), fatal)


def _unsent_by_closing(chunk: Chunk[Message]) -> _Batch:
    error = sending.never_begun("the client was closed before the message was sent")
    return _Batch(sending.receipts_after(error, chunk.items), ClientClosed("the client is closed"))


def _unsent_without_caller(left: list[Message]) -> Receipts:
    return sending.receipts_after(sending.never_begun("the caller was gone before the message was sent"), left)
