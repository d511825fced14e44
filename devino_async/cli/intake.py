"""The intake: a thread reads the rows, because standard input may block. Reading can be stopped at any time.

The parsing of rows is in campaigns/.
"""

import asyncio
import os
import stat
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

import devino_async
from devino_async.campaigns import Row

from .console import CommandFailed

__all__ = ["Intake", "while_unchanged"]

# A thread ends after this many rows.
_ROWS_A_READ = 2_048
# How long rows of a slow pipe wait for more rows, in seconds.
_PATIENCE = 0.2


def while_unchanged(runs: Iterator[list[Row]], source: BinaryIO) -> Iterator[list[Row]]:
    """Return the rows that are read from this source. Raises CommandFailed once a regular file has changed since now.

    If a row is inserted before the place that was reached, rows that were read already come again, and would be sent
    again as new ones.
    """
    before = _version_of(source)
    return runs if before is None else _checked(runs, source, before)


def _checked(runs: Iterator[list[Row]], source: BinaryIO, before: tuple[int, int]) -> Iterator[list[Row]]:
    for rows in runs:
        # After the rows were read. So each row that is yielded is of the file as it was.
        if _version_of(source) != before:
            raise CommandFailed(
                "the file changed while it was sent, so reading has stopped. Every row that was read has its result"
            )
        yield rows


def _version_of(source: BinaryIO) -> tuple[int, int] | None:
    try:
        found = os.fstat(source.fileno())
    except OSError:
        # Not a file of the operating system.
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


class Intake:
    """Reads rows in lists of a few hundred, called runs. `begin` reads the first run, which checks the header.

    Of the rows, only the first `limit` are read.
    """

    def __init__(self, runs: Iterator[list[Row]], limit: int | None = None) -> None:
        self._runs = runs if limit is None else _first_rows(runs, limit)
        self._first: list[Row] | None = None
        self._stopping = asyncio.Event()
        self.stopped = False
        """Whether reading was stopped."""
        self._reading: _Reading | None = None
        self._ready: list[Row] = []

    @property
    def stuck(self) -> bool:
        """Whether a thread still waits for input after the reading was stopped."""
        return self._reading is not None and not self._reading.ended

    def stop(self) -> None:
        """Read no more. A call that waits for rows returns at once."""
        self.stopped = True
        self._stopping.set()

    @property
    def first(self) -> Row | None:
        """The first row, after `begin`."""
        return self._first[0] if self._first else None

    async def begin(self) -> None:
        """Read the first run. Raises ConfigurationError if the header cannot be used, or if there are no rows.

        It raises what `next_run` raises, too. A second call before `next_run` does nothing.
        """
        if self._first is None:
            self._first = await self._read()
        if not self._first and not self.stopped:
            raise devino_async.ConfigurationError("nothing to send: the input has no rows")

    async def next_run(self) -> list[Row]:
        """Return the next rows: none at the end, and after `stop` only rows that were read already.

        An error in reading is raised after all rows before it were returned. Raises CommandFailed if the system has no
        thread or memory left for reading.
        """
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._read()

    def left(self) -> list[Row]:
        """Return the rows that were read but not returned before."""
        first, self._first = self._first or [], None
        return [*first, *self._take_ready()]

    async def _read(self) -> list[Row]:
        if self.stopped:
            return self._take_ready()
        if self._reading is None or (self._reading.ended and not self._ready):
            if self._reading is not None and self._reading.failure is not None:
                raise self._reading.failure
            self._reading = _Reading(self._runs, self._ready)
        reading = self._reading
        stopping = asyncio.create_task(self._stopping.wait())
        waiting: set[asyncio.Future[Any]] = {reading.woken, stopping}
        try:
            while True:
                await asyncio.wait(waiting, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
                # Read `ended` before looking at the rows. In the other order, the thread could append its last rows and
                # end between the two. They would be missed: an empty list, which means the end, would be returned.
                ended = reading.ended
                if self._ready or self.stopped:
                    return self._take_ready()
                if ended:
                    if reading.failure is not None:
                        raise reading.failure
                    return []
        finally:
            stopping.cancel()

    def _take_ready(self) -> list[Row]:
        """Take the rows that are ready, while the thread may still wait for more of a slow pipe.

        The thread only appends, so deleting exactly the rows that were copied loses none.
        """
        taken = self._ready[:]
        del self._ready[: len(taken)]
        return taken


class _Reading:
    """A thread that adds a few hundred rows to a list.

    `ended` and `failure` are right even if the thread cannot wake the event loop.
    """

    def __init__(self, runs: Iterator[list[Row]], ready: list[Row]) -> None:
        self._runs = runs
        self._ready = ready
        self._loop = asyncio.get_running_loop()
        self.woken: asyncio.Future[None] = self._loop.create_future()
        self.failure: Exception | None = None
        # A daemon, because a read that never returns must not keep the program from ending.
        self._thread = threading.Thread(target=self._work, name="devino-intake", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            raise CommandFailed("the system cannot start a thread to read the input") from None

    @property
    def ended(self) -> bool:
        """Whether the thread has finished reading."""
        return self.woken.done() or not self._thread.is_alive()

    def _work(self) -> None:
        try:
            # The rows of a slow pipe come in small runs. They are available while the thread waits for the next one.
            count = 0
            while count < _ROWS_A_READ and (run := next(self._runs, None)) is not None:
                self._ready.extend(run)
                count += len(run)
        except MemoryError:
            self.failure = _NO_MEMORY
        except Exception as error:  # noqa: BLE001 - raised again where the rows are awaited
            self.failure = error
        try:
            self._loop.call_soon_threadsafe(_wake, self.woken)
        except (RuntimeError, MemoryError):
            # Either the loop is closed and nothing waits, or memory ran out and `_read` looks again within _PATIENCE.
            return


# Created in advance, because there may be no memory for it when it is needed.
_NO_MEMORY = CommandFailed("there is not enough memory to read on")


def _first_rows(runs: Iterator[list[Row]], limit: int) -> Iterator[list[Row]]:
    """Yield the first rows. Unlike a slice of single rows, it takes no rows from later runs."""
    for run in runs:
        yield run[:limit]
        limit -= len(run)
        if limit <= 0:
            return


def _wake(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)
