"""A small file of notes, on which the tests of this folder work."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from devino_async.errors import DevinoError
from devino_async.storage.sqlite import SQLiteFile

SCHEMA = ("CREATE TABLE note (number INTEGER PRIMARY KEY, words TEXT)", "CREATE INDEX note_words ON note (words)")


class NoteError(DevinoError):
    """The error that this file's owner has chosen."""


def notes(path: Path, version: int = 3, **options: Any) -> SQLiteFile:
    return SQLiteFile(path, schema=SCHEMA, version=version, kind="note store", error=NoteError, **options)


def insert(number: int, words: str = "x") -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO note VALUES (?, ?)", (number, words))
        return number

    return work


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM note ORDER BY number")]


def kept(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return numbers(connection)


@asynccontextmanager
async def busy(file: SQLiteFile) -> AsyncIterator[None]:
    """Keep the file's thread busy inside the block, so that callers pile up behind it."""
    may_end = threading.Event()
    holding = asyncio.create_task(file.do(lambda connection: may_end.wait()))
    try:
        yield
    finally:
        may_end.set()
        await holding
