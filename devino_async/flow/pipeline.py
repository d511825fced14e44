"""Pipeline: a few chunks in flight at once, their results in the order of the input.

One failing chunk never cancels another. The caller decides what the work is and who owns the tasks
that do it.

The consumer's task runs `results`, and may be cancelled or stop iterating at any yield. The reader
is a task that the pipeline itself starts. It runs `_feed`, and only `stop` or the shutdown of the
event loop cancels it. The work on each chunk runs in a task of the owner, and only the owner may
cancel that.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from .chunking import Chunk

__all__ = ["ChunkSource", "Pipeline"]

T = TypeVar("T")
R = TypeVar("R")


class ChunkSource(Protocol[T]):
    """What a pipeline reads: Chunks, or something that looks at them on their way."""

    def stop(self) -> None:
        """Read no more."""
        ...

    def take_left(self) -> list[T]:
        """Remove and return the items that were read but not yielded."""
        ...

    def __aiter__(self) -> AsyncIterator[Chunk[T]]:
        """Yield the chunks in order."""
        ...


class Pipeline(Generic[T, R]):
    """Does `work` for every chunk. At most `in_flight` chunks are begun but not yet given to the consumer.

    `start` makes the work a task that outlives this pipeline. A result for which `stop_after` is
    true ends the reading. When the results have ended or the consumer is gone, `take_left_items()`
    returns the items that were read but never begun, and `left_tasks` are the tasks whose results
    were not given. `on_late` is called with items that arrive even later, because an async source
    may catch its cancellation and yield more.
    """

    def __init__(
        self,
        chunks: ChunkSource[T],
        work: Callable[[Chunk[T]], Coroutine[Any, Any, R]],
        *,
        in_flight: int,
        start: Callable[[Coroutine[Any, Any, R]], "asyncio.Task[R]"],
        stop_after: Callable[[R], bool] = lambda _: False,
        on_late: Callable[[list[T]], None] = lambda _: None,
    ) -> None:
        self._chunks = chunks
        self._work = work
        self._start = start
        self._stop_after = stop_after
        self._on_late = on_late
        self._in_flight = asyncio.Semaphore(in_flight)
        # Tasks in input order, and None when the reader has ended.
        self._begun: asyncio.Queue[asyncio.Task[R] | None] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        self._stopped = False
        self._late: list[T] = []
        self.left_tasks: list[asyncio.Task[R]] = []

    def take_left_items(self) -> list[T]:
        """Remove and return the items that were read and never begun."""
        late, self._late = self._late, []
        return late + self._chunks.take_left()

    def stop(self) -> None:
        """Read no more. What was begun is finished and still given."""
        self._stopped = True
        self._chunks.stop()
        if self._reader is not None:
            self._reader.cancel()

    async def results(self) -> AsyncGenerator[R, None]:
        """The results in input order. An error of the source is raised after everything that was read before it."""
        self._reader = asyncio.create_task(self._feed(), name="devino-reader")
        self._reader.add_done_callback(lambda _: self._begun.put_nowait(None))
        task: asyncio.Task[R] | None = None
        try:
            while (task := await self._begun.get()) is not None:
                # `wait` and not `await task`: cancelling the consumer must not cancel the work,
                # which may be a send.
                await asyncio.wait({task})
                self._in_flight.release()
                done, task = task, None
                yield done.result()
            # If we did not stop the reader, a CancelledError came from the caller's own iterator:
            # re-raise it.
            if not self._stopped or not self._reader.cancelled():
                self._reader.result()
        finally:
            self.stop()
            self._let_go(task)

    async def _feed(self) -> None:
        reading = aiter(self._chunks)
        while not self._stopped:
            # Read only when one more may be in flight, so that no chunk waits in memory for its turn.
            await self._in_flight.acquire()
            chunk = await anext(reading, None)
            if chunk is None:
                return
            # Work may have ended the reading in the same turn of the loop, or the source may have
            # caught the cancellation. No task may begin after `stop`, because nothing would pass on
            # its result.
            if self._stopped:
                self._late += chunk.items
                return
            task = self._start(self._work(chunk))
            task.add_done_callback(self._ended)
            self._begun.put_nowait(task)

    def _ended(self, task: "asyncio.Task[R]") -> None:
        if not task.cancelled() and task.exception() is None and self._stop_after(task.result()):
            self.stop()

    def _let_go(self, waited_for: "asyncio.Task[R] | None") -> None:
        """Let go of the tasks. Work in flight and the reader refer to this pipeline, and through it to the input."""
        left = [waited_for]
        while not self._begun.empty():
            left.append(self._begun.get_nowait())
        self.left_tasks = [task for task in left if task is not None]
        for task in self.left_tasks:
            # Without this line the input, perhaps an open file, is kept until the last exchange has
            # ended.
            task.remove_done_callback(self._ended)
        # A task that was cancelled keeps the traceback of its CancelledError, whose frames refer to
        # this pipeline. Without this line the two keep each other and the input alive until the next
        # garbage collection.
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.add_done_callback(self._report_late)

    def _report_late(self, _: object) -> None:
        if left := self.take_left_items():
            self._on_late(left)
