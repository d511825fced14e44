"""What tests of SQLiteJournal do to its file."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from devino_async.campaigns import SQLiteJournal
from devino_async.campaigns.blobs import unpack_bodies, unpack_bytes


def changed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
            connection.commit()


async def set_on(journal: SQLiteJournal, pragma: str) -> None:
    await journal._file.do(lambda connection: connection.execute(f"PRAGMA {pragma}").fetchall())


async def selected(journal: SQLiteJournal, query: str) -> list[Any]:
    return await journal._file.do(lambda connection: connection.execute(query).fetchall())


def forked(target: Callable[..., None], *args: Any) -> None:
    """Run it in a forked child, and wait for its end."""
    child = os.fork()
    if child == 0:
        try:
            target(*args)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


async def bodies_of(journal: SQLiteJournal) -> list[list[str] | None]:
    """The stored texts of each part."""
    rows = await selected(journal, "SELECT bodies, last - first + 1, positions FROM part")
    return [
        None if bodies is None else [each.decode() for each in unpack_bodies(bodies, count_of(positions, span))]
        for bodies, span, positions in rows
    ]


def count_of(positions: bytes | None, span: int) -> int:
    """How many messages a part has."""
    return span if positions is None else len(unpack_bytes(positions)) // 8
