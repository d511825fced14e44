"""The file of a SQLiteJournal: opening and closing, errors in words, and which processes that use it are alive.

Its thread and its transactions are in storage/sqlite.py. claimer.py tells which processes are alive.
"""

import asyncio
import os
import sqlite3
import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from ..errors import ClientClosed, ConfigurationError, DevinoError, JournalFailed
from ..storage.sqlite import SQLiteFile, truncate_log
from . import sqlite_keys, sqlite_parts
from .blobs import Damaged
from .claimer import Claimer
from .states import KeyRecord
from .troubles import RESTORE, damaged, explained, refuse_place, replaced

__all__ = ["JournalFile", "check_tables", "claimers"]

_TIDY_SECONDS = 1.0
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class JournalFile:
    """A journal's file, and this process among those that use it."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        schema: Sequence[str],
        version: int,
        upgrades: Mapping[int, Work[None]] | None = None,
    ) -> None:
        # Resolved once: by another path to this file, or after chdir, the signs of life of others would not be found.
        self._path = os.path.realpath(_checked(path))
        self._name = os.path.basename(self._path)  # noqa: PTH119 - the path is text throughout
        self._claimer = Claimer(self._path)
        self._tidying: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._checked = False
        self._file = SQLiteFile(
            self._path,
            schema=schema,
            version=version,
            upgrades=upgrades,
            kind="journal",
            error=JournalFailed,
            explain=partial(explained, path=self._path),
            before_opening=partial(refuse_place, self._path),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._path!r})"

    async def __aenter__(self) -> Self:
        try:
            await self._do(_nothing)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Finish what was begun, and close the file. What is still claimed becomes unconfirmed."""
        self._is_closed = True
        if self._tidying is not None:
            # Closing the file removes the log.
            self._tidying.cancel()
        is_lost = False
        try:
            if self._claimer.is_held:
                # If the file cannot be written, the next process finds this claimer dead, which has the same effect.
                with suppress(JournalFailed, ClientClosed):
                    is_lost = await self._do(lambda _: self._file.trouble() is not None)
                    if not is_lost:
                        await self._bury_these([self._claimer.name])
        finally:
            await self._file.aclose()
            # If the .claimer file stays behind, others do not take another file at this path for the right one.
            self._claimer.close(leave_file=is_lost)

    # Work

    async def _claim(self, work: Work[T], *, of: str | None = None, is_first: bool = False) -> T:
        """Do the work in a transaction, and show the others that this journal is alive.

        Raises JournalFailed if what was claimed would be lost, or if earlier claims are. `is_first` is for the first
        claim of a campaign.
        """

        def registered(connection: sqlite3.Connection) -> T:
            if (trouble := self._file.trouble()) is not None:
                raise self._failed(f"{trouble}. Nothing more is sent. {RESTORE}")
            if is_first or not self._claimer.is_held:
                stray = self._claimer.remove_strays(claimers(connection))
                if stray is not None:
                    raise self._failed(replaced(stray))
            self._claimer.hold()
            connection.execute("INSERT OR IGNORE INTO claimer VALUES (?)", (self._claimer.name,))
            return work(connection)

        result = await self._together(registered, of=of)
        if not self._claimer.is_named:
            self._file.soon(lambda _: self._claimer.note_named())
        return result

    async def _bury(self) -> bool:
        """Turn what dead processes had claimed into unconfirmed. Return whether there were any."""

        def find(connection: sqlite3.Connection) -> list[str]:
            return [name for name in claimers(connection) if not self._claimer.is_alive(name)]

        dead = await self._do(find)
        if dead:
            await self._bury_these(dead)
            await self._do(lambda _: list(map(self._claimer.remove, dead)))
        return bool(dead)

    async def _bury_these(self, names: Sequence[str]) -> None:
        await self._do(lambda _: list(map(self._claimer.empty, names)))
        await self._together(partial(sqlite_parts.bury, claimers=names))

    async def _check_keys(self) -> None:
        """Look once for damage that hides keys. It takes about 0.2 seconds for a million of them."""
        if not self._checked:
            await self._do(partial(check_tables, names=("keyed",)))
            self._checked = True

    def _tidy_soon(self) -> None:
        """Empty the write-ahead log within a second or so, and at most once a second. Call it after texts were deleted.

        It happens in the thread. A send that comes at that moment waits for it, for a few milliseconds.
        """
        if self._is_closed:
            return
        loop = asyncio.get_running_loop()
        # A timer of an event loop that has ended never comes.
        if self._tidying is None or loop.time() > self._tidying.when() + _TIDY_SECONDS:
            self._tidying = loop.call_later(_TIDY_SECONDS, self._tidy)

    def _tidy(self) -> None:
        self._tidying = None
        self._file.soon(truncate_log)

    async def _keys_or_again(self, call: Callable[[], Any]) -> Mapping[str, KeyRecord]:
        found: dict[str, sqlite_keys.Found] = await call()
        if any(claimer not in {None, self._claimer.name} for _, _, claimer in found.values()) and await self._bury():
            found = await call()
        return {key: record for key, (record, _, _) in found.items()}

    def _damaged(self, of: str | None) -> JournalFailed:
        return self._failed(damaged(of))

    def _failed(self, problem: str) -> JournalFailed:
        return JournalFailed(f"the journal {self._name!r} failed: {problem}")

    async def _do(self, work: Work[T], *, of: str | None = None) -> T:
        return await self._told(self._file.do, work, of)

    async def _together(self, work: Work[T], *, of: str | None = None) -> T:
        return await self._told(self._file.together, work, of)

    async def _told(self, run: Callable[[Work[T]], Any], work: Work[T], of: str | None) -> T:
        try:
            result: T = await run(work)
        except (sqlite3.Error, OSError) as error:
            problem = explained(error, self._path)
        except UnicodeEncodeError:
            problem = "a name is not valid text. Rename the file that is sent, or choose another campaign name"
        except DevinoError:
            raise
        except (Damaged, ValueError, TypeError, LookupError, AttributeError, OverflowError, struct.error):
            # Where the file is damaged, anything may be read.
            problem = damaged(of)
        else:
            return result
        raise self._failed(problem)


def _nothing(_: sqlite3.Connection) -> None:
    """Open the file."""


def claimers(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM claimer")]


def check_tables(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Raise Damaged if a table and its indexes differ, because rows that are not found would be sent again."""
    for name in names:
        # SQLite before 3.33 checks the whole file.
        [found] = connection.execute(f"PRAGMA integrity_check({name})").fetchmany(1)
        if found != ("ok",):
            raise Damaged


def _checked(path: object) -> str:
    named = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(named, str) or not named:
        raise ConfigurationError("the path of a journal must be a str or a path-like object, and not empty")
    if "\0" in named or named == ":memory:":
        raise ConfigurationError("the path of a journal must be that of a file")
    return named
