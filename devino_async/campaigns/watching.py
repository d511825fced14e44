"""Reading a journal while other processes use it. Nothing is written, and no lock is held between two looks.

SQLiteJournal, which opens the same file for writing, is in sqlite.py. The functions here block, so call them in
a thread.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from attrs import evolve, frozen

from ..errors import JournalFailed
from . import sqlite_campaigns
from .claimer import Claimer
from .sqlite import VERSION
from .states import CampaignState
from .troubles import damaged, explained, has_record

__all__ = ["JournalView", "Missing", "NotNow", "Seen"]

# A reader waits only for a moment in which the file is opened, closed or recovered.
_BUSY_SECONDS = 0.25
_TABLES = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('campaign', 'part', 'claimer')"
_RUN = "SELECT claimer FROM campaign WHERE name = ? AND run IS NOT NULL"
_CLAIMED = """SELECT part.claimer, sum(claimed) FROM part JOIN campaign ON campaign.id = part.campaign
    WHERE part.claimer IS NOT NULL AND name = ? GROUP BY part.claimer"""
_RIGHTS = "this needs the rights of the user who runs the campaign"


class NotNow(JournalFailed):
    """The file cannot be read at this moment. A later look may succeed."""


class Missing(NotNow):
    """The file is missing or empty. A process that had it open sends nothing more."""


@frozen
class Seen:
    """A campaign at one moment. `is_live` says whether a living process runs it.

    What a dead process had in flight counts as unconfirmed, although the journal records that only later.
    """

    state: CampaignState
    is_live: bool


class JournalView:
    """The journal at a path. Each look opens the file that is there now, and closes it again."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        # The files of claimers are named after the resolved path.
        self._path = os.path.realpath(path)
        self._file: os.stat_result | None = None
        self.was_replaced = False
        """Whether an earlier look saw another file at this path."""

    def look(self, name: str | None = None) -> Sequence[Seen]:
        """Return the campaigns that are not forgotten, or the one with this name.

        Raises Missing, NotNow if the file is busy, and JournalFailed if it is not a journal.
        """
        if not has_record(self._path):
            raise self._trouble("it is missing or empty. A run that had it open sends nothing more", Missing)
        # Without a log no other process has the file open. Then it can be read without a lock, and no new files appear.
        is_alone = not os.path.exists(f"{self._path}-wal")  # noqa: PTH110 - the path is text throughout
        try:
            with closing(self._opened(is_alone)) as connection:
                self._note_file()
                return self._read(connection, name)
        except sqlite3.Error as error:
            raise self._explained(error, is_alone) from None
        except FileNotFoundError:
            raise self._trouble("it is missing", Missing) from None
        except OSError as error:
            raise self._trouble(f"{error.strerror}. {_RIGHTS}") from None
        except (ValueError, TypeError, OverflowError):
            raise self._trouble(damaged(name)) from None

    def _opened(self, is_alone: bool) -> sqlite3.Connection:
        address = f"{Path(self._path).as_uri()}?mode=ro{'&immutable=1' if is_alone else ''}"
        return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)

    def _note_file(self) -> None:
        now = os.stat(self._path)  # noqa: PTH116
        self.was_replaced = self.was_replaced or (self._file is not None and not os.path.samestat(self._file, now))
        self._file = now

    def _read(self, connection: sqlite3.Connection, name: str | None) -> list[Seen]:
        connection.execute("BEGIN")
        [version] = connection.execute("PRAGMA user_version").fetchone()
        [tables] = connection.execute(_TABLES).fetchone()
        if version == 0 and not tables:
            raise self._trouble("its tables are not there yet", NotNow)
        if tables < 3 or version != VERSION:
            raise self._trouble("it is not a journal, or another version of devino-async made it")
        return [self._seen(connection, each) for each in sqlite_campaigns.states(connection, name)]

    def _seen(self, connection: sqlite3.Connection, state: CampaignState) -> Seen:
        claimed = dict(connection.execute(_CLAIMED, (state.name,)).fetchall())
        running = [each for (each,) in connection.execute(_RUN, (state.name,)) if each is not None]
        signs = Claimer(self._path)
        alive = {each for each in {*claimed, *running} if signs.is_alive(each)}
        lost = sum(count for each, count in claimed.items() if each not in alive)
        state = evolve(state, in_flight=state.in_flight - lost, unconfirmed=state.unconfirmed + lost)
        return Seen(state, bool(alive))

    def _explained(self, error: sqlite3.Error, is_alone: bool) -> JournalFailed:
        # The extended code holds the basic one in its low byte.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_NOTADB:
            return self._trouble("it is not an SQLite file. Check that the path is right")
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return self._trouble("it is busy", NotNow)
        if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}:
            return self._trouble(_RIGHTS, NotNow)
        # If another process changed the file meanwhile, this read had no lock, and the file may only look damaged.
        return self._trouble(explained(error, self._path), NotNow if is_alone else JournalFailed)

    def _trouble(self, problem: str, kind: type[JournalFailed] = JournalFailed) -> JournalFailed:
        return kind(f"the journal {os.path.basename(self._path)!r} cannot be read: {problem}")  # noqa: PTH119
