"""What tests of SQLiteJournal do to its file."""

import os
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from devino_async.campaigns import SQLiteJournal


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
    """The stored lines of each part."""
    rows = await selected(journal, "SELECT bodies FROM part")
    return [None if each is None else zlib.decompress(each).decode().split("\n") for (each,) in rows]
