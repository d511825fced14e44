"""What was accepted, in sqlite. A message's status is never stored: it follows from when it starts, its fate and now.

One thread owns the connection, so that no query holds up the event loop. Which queries there are, the chapters know.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["EVENT_TIME", "STATUS", "Row", "Store", "fate_of"]

T = TypeVar("T")
Row = tuple[Any, ...]

FATES = {
    "991": "UNDELIVERABLE",
    "992": "EXPIRED",
    "993": "REJECTED",
    "994": "UNKNOWN",
    "995": "SENT",
    "996": "CLICKED",
}

# A message stays `stage` seconds in each status; :now and :stage are given with every query.
STATUS = """CASE
    WHEN :now < starts THEN 'SCHEDULED'
    WHEN :now < starts + :stage THEN 'ACCEPTED'
    WHEN :now < starts + 2 * :stage THEN 'ENROUTE'
    WHEN fate = 'SENT' OR :now < starts + 3 * :stage THEN 'SENT'
    WHEN fate = 'CLICKED' AND :now < starts + 4 * :stage THEN 'DELIVERED'
    ELSE fate END"""
EVENT_TIME = """CASE
    WHEN :now < starts THEN accepted
    WHEN :now < starts + :stage THEN starts
    WHEN :now < starts + 2 * :stage THEN starts + :stage
    WHEN fate = 'SENT' OR :now < starts + 3 * :stage THEN starts + 2 * :stage
    WHEN fate = 'CLICKED' AND :now >= starts + 4 * :stage THEN starts + 4 * :stage
    ELSE starts + 3 * :stage END"""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY, task INTEGER, accepted REAL, starts REAL, sender TEXT, recipient TEXT, text TEXT,
    segments INTEGER, traffic TEXT, fate TEXT);
CREATE TABLE IF NOT EXISTS report (
    id INTEGER PRIMARY KEY, url TEXT, options TEXT, told INTEGER DEFAULT 0, done INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS report_open ON report (done);
"""


def fate_of(recipient: str, shortened: bool) -> str:
    """What becomes of a message in the end, by the magic of its recipient's last digits."""
    fate = FATES.get(recipient[-3:], "DELIVERED")
    return "DELIVERED" if fate == "CLICKED" and not shortened else fate


class Store:
    """The table of messages."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "sandbox-store")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open or make the database."""
        await self._do(self._open)

    async def close(self) -> None:
        """Close it; a database in memory is gone then."""
        await self._do(lambda connection: connection.close())
        self._thread.shutdown()

    async def add(self, messages: Sequence[Row], reports: Sequence[Row]) -> None:
        """Keep accepted messages and where to report on them, all or nothing."""

        def insert(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT INTO message VALUES (?,?,?,?,?,?,?,?,?,?)", messages)
                connection.executemany("INSERT INTO report (id, url, options) VALUES (?,?,?)", reports)

        await self._do(insert)

    async def rows(self, query: str, values: dict[str, Any] | Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""
        return await self._do(lambda connection: connection.execute(query, values).fetchall())

    async def change(self, statement: str, values: Iterable[Row]) -> None:
        """Carry out a statement for each of the values."""

        def change(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(statement, values)

        await self._do(change)

    def _open(self, _: Any) -> None:
        self._connection = sqlite3.connect(self._path, check_same_thread=False)
        self._connection.executescript(_SCHEMA)

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: work(self._connection))  # type: ignore[arg-type]
