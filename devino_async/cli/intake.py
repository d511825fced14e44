"""The intake: rows are read in a thread, because standard input may block, and reading can be stopped.

The reading itself is in campaigns/.
"""

import asyncio
import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any

from devino_async.campaigns import Row

__all__ = ["Intake"]

_ROWS_A_READ = 512
# How long rows of a slow pipe wait for more rows, in seconds.
_PATIENCE = 0.2


class Intake:
    """Rows in runs of a few hundred. `begin` reads the first run, which checks the header."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._first: list[Row] | None = None
        self._stopped = asyncio.Event()
        self._reading: asyncio.Future[None] | None = None
        self._ready: list[Row] = []

    @property
    def stopped(self) -> bool:
        """Whether reading was stopped."""
        return self._stopped.is_set()

    @property
    def stuck(self) -> bool:
        """Whether a thread still waits for input that is no longer wanted."""
        return self._reading is not None and not self._reading.done()

    def stop(self) -> None:
        """Read no more. A call that waits for rows returns at once."""
        self._stopped.set()

    async def begin(self) -> None:
        """Read the first run. Raises ConfigurationError for a header that cannot be used."""
        self._first = await self._read()

    async def next_run(self) -> list[Row]:
        """Return the next rows: none at the end, and after `stop` only rows that were read already."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._read()

    def left(self) -> list[Row]:
        """Return the rows that were read but not asked for."""
        first, self._first = self._first or [], None
        return [*first, *self._take_ready()]

    async def _read(self) -> list[Row]:
        if self.stopped:
            return self._take_ready()
        if self._reading is None or (self._reading.done() and not self._ready):
            self._reading = asyncio.get_running_loop().create_future()
            # A daemon, because a read that never returns must not keep the program from ending.
            threading.Thread(target=self._work, args=(self._reading,), name="devino-intake", daemon=True).start()
        stopping = asyncio.create_task(self._stopped.wait())
        try:
            while True:
                waiting: set[asyncio.Future[Any]] = {self._reading, stopping}
                await asyncio.wait(waiting, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
                if self._ready or self.stopped:
                    return self._take_ready()
                if self._reading.done():
                    self._reading.result()
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

    def _work(self, reading: "asyncio.Future[None]") -> None:
        loop = reading.get_loop()
        failure: Exception | None = None
        try:
            # One by one, so rows are ready while the next one is still awaited.
            for row in islice(self._rows, _ROWS_A_READ):
                self._ready.append(row)
        except Exception as error:  # noqa: BLE001 - raised again where the rows are awaited
            failure = error
        try:
            loop.call_soon_threadsafe(_settle, reading, failure)
        except RuntimeError:
            return  # The loop is closed, so nothing waits for this any more.


def _settle(reading: "asyncio.Future[None]", failure: Exception | None) -> None:
    if reading.done():
        return
    if failure is None:
        reading.set_result(None)
    else:
        reading.set_exception(failure)
