"""The intake: rows are read in a thread, as standard input may keep us waiting, and reading can be stopped.

What a row is, rows.py knows.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from .rows import Row, Rows

__all__ = ["Intake"]

_ROWS_A_READ = 512
# How long rows of a slow pipe are kept waiting for others, in seconds.
_PATIENCE = 0.2


class Intake:
    """Rows in runs of a few hundred. `begin` opens them and reads the first run; the header is checked then."""

    def __init__(self, rows: Callable[[], Rows]) -> None:
        self._make = rows
        self._rows: Rows | None = None
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
        """Whether a thread still waits for input that nobody wants any more."""
        return self._reading is not None and not self._reading.done()

    def stop(self) -> None:
        """Read no more; whoever waits for rows gets none."""
        self._stopped.set()

    async def begin(self) -> None:
        """Read the first run. Raises what Rows raises."""
        self._first = await self._read()

    async def next_run(self) -> list[Row]:
        """The next rows; none at the end, and once stopped only those that were read already."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._read()

    def left(self) -> list[Row]:
        """Rows that were read and are asked for no more."""
        first, self._first = self._first or [], None
        return [*first, *self._taken()]

    async def _read(self) -> list[Row]:
        if self.stopped:
            return self._taken()
        if self._reading is None or (self._reading.done() and not self._ready):
            self._reading = asyncio.get_running_loop().create_future()
            # A daemon, so that a read which never ends keeps no program from ending.
            threading.Thread(target=self._work, args=(self._reading,), name="devino-intake", daemon=True).start()
        stopping = asyncio.create_task(self._stopped.wait())
        try:
            while True:
                waiting: set[asyncio.Future[Any]] = {self._reading, stopping}
                await asyncio.wait(waiting, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
                if self._ready or self.stopped:
                    return self._taken()
                if self._reading.done():
                    self._reading.result()
                    return []
        finally:
            stopping.cancel()

    def _taken(self) -> list[Row]:
        """The rows that are ready, though the thread may still wait for more of a slow pipe."""
        taken = self._ready[:]
        del self._ready[: len(taken)]
        return taken

    def _work(self, reading: "asyncio.Future[None]") -> None:
        loop = reading.get_loop()
        failure: Exception | None = None
        try:
            self._rows = self._rows or self._make()
            for _ in range(_ROWS_A_READ):
                row = self._rows.read(1)
                if not row:
                    break
                self._ready += row
        except Exception as error:  # noqa: BLE001 - raised again where the rows are awaited
            failure = error
        try:
            loop.call_soon_threadsafe(_settle, reading, failure)
        except RuntimeError:
            return  # The loop is closed: nobody waits any more.


def _settle(reading: "asyncio.Future[None]", failure: Exception | None) -> None:
    if reading.done():
        return
    if failure is None:
        reading.set_result(None)
    else:
        reading.set_exception(failure)
