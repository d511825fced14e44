"""The file of a SQLiteJournal: opening and closing, errors in words, and which processes that use it are alive.

Its thread and its transactions are in storage/sqlite.py. claimer.py tells which processes are alive.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from ..errors import ClientClosed, JournalFailed
from ..storage.sqlite import SQLiteFile
from . import sqlite_keys, sqlite_parts
from .blobs import Damaged
from .claimer import Claimer
from .journal import KeyRecord
from .troubles import damaged, explained, refuse_network

__all__ = ["JournalFile", "claimers"]

_RESTORE = (
    "Stop all that use it, put the file back, and reconcile before anything is sent: what was sent since is not in it"
)
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class JournalFile:
    """A journal's file, and this process among those that use it."""

    def __init__(self, path: str | os.PathLike[str], *, schema: Sequence[str], version: int) -> None:
        # Resolved once: by another path to this file, or after chdir, the signs of life of others would not be found.
        self._path = os.path.realpath(path)
        self._name = os.path.basename(self._path)  # noqa: PTH119 - the path is text throughout
        self._claimer = Claimer(self._path)
        self._file = SQLiteFile(
            self._path,
            schema=schema,
            version=version,
            kind="journal",
            error=JournalFailed,
            explain=explained,
            before_opening=partial(refuse_network, self._path),
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
        try:
            if self._claimer.is_held:
                # If the file cannot be written, the next process finds this claimer dead, which has the same effect.
                with suppress(JournalFailed, ClientClosed):
                    await self._together(partial(sqlite_parts.bury, claimers=[self._claimer.name]))
        finally:
            await self._file.aclose()
            self._claimer.close()

    # Work

    def _register(self, connection: sqlite3.Connection) -> None:
        """Show the others that this journal is alive. It runs in the thread, before each claim.

        Raises JournalFailed if the claim would go into a file that is no longer there.
        """
        if (trouble := self._file.trouble()) is not None:
            raise self._failed(f"{trouble}. Nothing more is sent. {_RESTORE}")
        self._claimer.hold()
        connection.execute("INSERT OR IGNORE INTO claimer VALUES (?)", (self._claimer.name,))

    async def _bury(self) -> bool:
        """Turn what dead processes had claimed into unconfirmed. Return whether there were any."""

        def find(connection: sqlite3.Connection) -> list[str]:
            return [name for name in claimers(connection) if not self._claimer.is_alive(name)]

        dead = await self._do(find)
        if dead:
            await self._together(partial(sqlite_parts.bury, claimers=dead))
            await self._do(lambda _: list(map(self._claimer.remove, dead)))
        return bool(dead)

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
            problem = explained(error)
        except UnicodeEncodeError:
            problem = "a name is not valid text. Rename the file that is sent, or choose another campaign name"
        except Damaged:
            problem = damaged(of)
        else:
            return result
        raise self._failed(problem)


def _nothing(_: sqlite3.Connection) -> None:
    """Open the file."""


def claimers(connection: sqlite3.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT name FROM claimer")]
