"""The intake: rows are read in a thread, as standard input may keep us waiting, and reading can be stopped.

What a row is, rows.py knows.
"""

import asyncio
import threading
from collections.abc import Callable

from .rows import Row, Rows

__all__ = ["Intake"]

_ROWS_A_READ = 512


class Intake:
    """Rows in runs of a few hundred. `begin` opens them and reads the first run; the header is checked then."""

    def __init__(self, rows: Callable[[], Rows]) -> None:
        self._make = rows
        self._rows: Rows | None = None
        self._first: list[Row] | None = None
        self._stopped = asyncio.Event()
        self._reading: asyncio.Future[list[Row]] | None = None

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
        """The next rows; none at the end, and none once stopped."""
        if self._first is not None and not self.stopped:
            first, self._first = self._first, None
            return first
        return await self._read()

    async def _read(self) -> list[Row]:
        if self.stopped:
            return []
        self._reading = reading = asyncio.get_running_loop().create_future()
        # A daemon, so that a read which never ends keeps no program from ending.
        threading.Thread(target=self._work, args=(reading,), name="devino-intake", daemon=True).start()
        stopping = asyncio.create_task(self._stopped.wait())
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        return reading.result() if reading.done() else []

    def _work(self, reading: "asyncio.Future[list[Row]]") -> None:
        loop = reading.get_loop()
        try:
            self._rows = self._rows or self._make()
            found, failure = self._rows.read(_ROWS_A_READ), None
        except Exception as error:  # noqa: BLE001 - raised again where the rows are awaited
            found, failure = [], error
        try:
            loop.call_soon_threadsafe(_settle, reading, found, failure)
        except RuntimeError:
            return  # The loop is closed: nobody waits any more.


def _settle(reading: "asyncio.Future[list[Row]]", found: list[Row], failure: Exception | None) -> None:
    if reading.done():
        return
    if failure is None:
        reading.set_result(found)
    else:
        reading.set_exception(failure)
