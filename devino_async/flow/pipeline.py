"""Pipeline: a few chunks in flight at once, their results in the order of the input.

One failing chunk never cancels another, and what is in flight is always finished by its owner. What the work is,
and who owns the tasks that do it, is the caller's.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Generic, TypeVar

from .chunking import Chunk, Chunks

__all__ = ["Pipeline"]

T = TypeVar("T")
R = TypeVar("R")


class Pipeline(Generic[T, R]):
    """Does `work` for every chunk, at most `window` of them begun and not yet taken.

    `start` turns the work into a task that outlives this pipeline. `stop()` ends the reading. After the results
    were left early, or the reading was stopped, `take_left_items()` and `left_tasks` say what nobody has seen.
    """

    def __init__(
        self,
        chunks: Chunks[T],
        work: Callable[[Chunk[T]], Coroutine[Any, Any, R]],
        *,
        window: int,
        start: Callable[[Coroutine[Any, Any, R]], "asyncio.Task[R]"],
    ) -> None:
        self._chunks = chunks
        self._work = work
        self._start = start
        self._room = asyncio.Semaphore(window)
        self._begun: asyncio.Queue[asyncio.Task[R] | None] = asyncio.Queue()
        self._feeder: asyncio.Task[None] | None = None
        self._stopped = False
        self._late: list[T] = []
        self.left_tasks: list[asyncio.Task[R]] = []

    def take_left_items(self) -> list[T]:
        """Items that were read and never begun; they are given once."""
        late, self._late = self._late, []
        return late + self._chunks.take_left()

    def tell_of_late_items(self, report: Callable[[list[T]], None]) -> None:
        """Give `report` what is read after the results were left: an input may bear being cancelled, and give more."""

        def ended(_: object) -> None:
            if left := self.take_left_items():
                report(left)

        # A task that was cancelled remembers where, and with that the pipeline and all of its input.
        feeder, self._feeder = self._feeder, None
        if feeder is not None and not feeder.done():
            feeder.add_done_callback(ended)

    def stop(self) -> None:
        """Read no more. What was begun is finished and still given."""
        self._stopped = True
        self._chunks.stop()
        if self._feeder is not None:
            self._feeder.cancel()

    async def results(self) -> AsyncGenerator[R, None]:
        """The results in input order. An error of the source is raised after everything that was read before it."""
        self._feeder = asyncio.create_task(self._feed(), name="devino-reader")
        self._feeder.add_done_callback(lambda _: self._begun.put_nowait(None))
        task: asyncio.Task[R] | None = None
        try:
            while (task := await self._begun.get()) is not None:
                await asyncio.wait({task})
                self._room.release()
                done, task = task, None
                yield done.result()
            # Nobody here cancelled the reading unless it was stopped: then the input itself did, and must be heard.
            if not self._stopped or not self._feeder.cancelled():
                self._feeder.result()
        finally:
            self.stop()
            self.left_tasks = [each for each in (task, *self._drained()) if each is not None]

    async def _feed(self) -> None:
        reading = aiter(self._chunks)
        while not self._stopped:
            await self._room.acquire()
            chunk = await anext(reading, None)
            if chunk is None:
                return
            if self._stopped:
                self._late += chunk.items
                return
            self._begun.put_nowait(self._start(self._work(chunk)))

    def _drained(self) -> list["asyncio.Task[R] | None"]:
        left = []
        while not self._begun.empty():
            left.append(self._begun.get_nowait())
        return left
