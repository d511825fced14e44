"""Accepted messages, in sqlite. One thread owns the connection, so no query blocks the event loop.

The queries are in the files that answer them. Statuses are not stored: see stages.py.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .tables import INBOX_TABLES

__all__ = ["Row", "Store"]

T = TypeVar("T")
Row = tuple[Any, ...]

# Written into a file's user_version, so a file of another schema is refused.
_SCHEMA_VERSION = 3
# `tally` sums up one POST by kind, so statistics need not read a million messages. It is written in the same
# transaction as the messages. A report's `due` is NULL once there is nothing more to report. `extras` holds the
# optional members of a message as JSON. Messages with the same sender, recipient and text have the same `digest`.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY, task INTEGER, accepted REAL, starts REAL, sender TEXT, recipient TEXT, text TEXT,
    segments INTEGER, traffic TEXT, fate TEXT, lifetime INTEGER, extras TEXT, digest INTEGER);
CREATE INDEX IF NOT EXISTS message_recipient ON message (recipient, accepted);
CREATE INDEX IF NOT EXISTS message_digest ON message (digest);
CREATE TABLE IF NOT EXISTS tally (
    task INTEGER, accepted REAL, starts REAL, fate TEXT, lifetime INTEGER,
    messages INTEGER, segments INTEGER, first INTEGER, last INTEGER);
CREATE TABLE IF NOT EXISTS report (id INTEGER PRIMARY KEY, url TEXT, options TEXT, due REAL, told INTEGER DEFAULT 0);
CREATE INDEX IF NOT EXISTS report_due ON report (due) WHERE due IS NOT NULL;
CREATE TABLE IF NOT EXISTS reply (
    id INTEGER PRIMARY KEY, moment REAL, phone TEXT, receiver TEXT, text TEXT, url TEXT, answer INTEGER);
{INBOX_TABLES}
PRAGMA user_version = {_SCHEMA_VERSION};
"""
_KNOWN = "SELECT count(*) FROM json_each(?) WHERE EXISTS (SELECT 1 FROM message WHERE digest = value)"
_TARGETS = {
    "message": ("message", 13),
    "tally": ("tally", 9),
    "report": ("report (id, url, options, due)", 4),
    "rejected": ("rejected (moment, phone, sender, text, reasons)", 5),
}
# Rows in one INSERT. sqlite releases the GIL for a whole statement, so the event loop runs meanwhile.
_ROWS_A_STATEMENT = 250


class Store:
    """The tables of messages and reports."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, "sandbox-store")
        self._connection: sqlite3.Connection | None = None
        self._closed = False

    async def open(self) -> None:
        """Open or create the database. Raises sqlite3.Error if the file is not a database, or has another schema."""
        if self._closed:
            raise RuntimeError("the sandbox was stopped and cannot start again: make a new one")
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def close(self) -> None:
        """Close the database. A database in memory is lost. Closing twice does no harm."""
        if self._connection is not None:
            await self._do(lambda connection: connection.close())
            self._connection = None
        self._closed = True
        self._thread.shutdown()

    async def add(self, digests: Sequence[int], **cells: Sequence[Any]) -> int:
        """Insert rows, all or nothing. Each keyword names a table and holds the cells of its rows in one sequence.

        Return how many of the messages' digests were there before, in the database or earlier in the sequence.
        """

        def insert(connection: sqlite3.Connection) -> int:
            with connection:
                distinct = set(digests)
                [(known,)] = connection.execute(_KNOWN, [json.dumps([*distinct])])
                for table, flat in cells.items():
                    _insert(connection, table, flat)
            return len(digests) - len(distinct) + int(known)

        return await self._do(insert)

    async def rows(self, query: str, values: dict[str, Any] | Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a query."""
        return await self._do(lambda connection: connection.execute(query, values).fetchall())

    def rows_now(self, query: str, values: dict[str, Any] | Sequence[Any] = ()) -> list[Row]:
        """Return all rows of a query. The caller is blocked meanwhile, so this is for small queries of tests."""
        connection = self._opened()
        return self._thread.submit(lambda: connection.execute(query, values).fetchall()).result()

    async def script(self, *statements: tuple[str, dict[str, Any]]) -> int:
        """Execute statements in one transaction. Return how many rows the first one changed."""

        def change(connection: sqlite3.Connection) -> int:
            with connection:
                counts = [connection.execute(statement, values).rowcount for statement, values in statements]
            return counts[0]

        return await self._do(change)

    async def change(self, statement: str, values: Iterable[Row]) -> None:
        """Execute a statement for each of the values."""

        def change(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany(statement, values)

        await self._do(change)

    def _open(self) -> None:
        connection = sqlite3.connect(self._path, check_same_thread=False)
        try:
            [version] = connection.execute("PRAGMA user_version").fetchone()
            [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if version != _SCHEMA_VERSION and tables:
                raise sqlite3.DatabaseError("the file was not made by this version of the sandbox")
            connection.executescript(_SCHEMA)
            connection.create_function("casefold", 1, str.casefold, deterministic=True)
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, self._opened())

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the sandbox is not running")
        return self._connection


def _insert(connection: sqlite3.Connection, table: str, flat: Sequence[Any]) -> None:
    target, width = _TARGETS[table]
    row = f"({','.join('?' * width)})"
    max_rows = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // width
    step = min(_ROWS_A_STATEMENT, max_rows) * width
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        connection.execute(f"INSERT INTO {target} VALUES {','.join([row] * (len(part) // width))}", part)  # noqa: S608
