"""SQLiteStore: the tables and queries that keep the events of messages in a file.

Events given to `add` are on disk when it returns, and survive the end of the process. The file, its thread and its
transactions are in storage/sqlite.py. What events mean is in ladder.py.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from os import PathLike

from attrs import evolve

from ..errors import ConfigurationError
from ..storage.sqlite import SQLiteFile
from .ladder import Delivery, DeliveryChange, StatusEvent
from .rounding import MAX_MEMBERS, family_of, forms_of, known_of, needs_members, noted
from .store import by_message

__all__ = ["SQLiteStore"]

# `rounded` is the float64 nearest to an id that no float64 can hold. It is stored as text, because SQLite may read the
# digits as another float.
_VERSION = 2
_INDEX_OF_ROUNDED = "CREATE INDEX message_rounded ON message (rounded) WHERE rounded IS NOT NULL"
_SCHEMA = (
    "CREATE TABLE message (id TEXT PRIMARY KEY, told REAL NOT NULL, rounded TEXT) WITHOUT ROWID",
    "CREATE INDEX message_told ON message (told)",
    _INDEX_OF_ROUNDED,
    """CREATE TABLE event (id TEXT, status TEXT, at TEXT, error_code TEXT, PRIMARY KEY (id, status, at, error_code))
    WITHOUT ROWID""",
)
_KNOWN = "SELECT id, status, at, error_code FROM event WHERE id IN (SELECT value FROM json_each(?))"
_MEMBERS = f"SELECT id FROM message WHERE rounded = ? LIMIT {MAX_MEMBERS}"  # noqa: S608 - a number of ours
_PRUNED_AT_ONCE = 1_000
_Known = dict[str, Collection[StatusEvent]]


class SQLiteStore:
    """Keep events in the file `path`, which is created if it is missing, readable by its owner only.

    It holds message ids, statuses, times and error codes, but no texts or phone numbers. Calls raise
    ConfigurationError if the file cannot be opened or was made by something else, and ClientClosed after `aclose`.
    """

    def __init__(self, path: str | PathLike[str], *, clock: Callable[[], float] = time.time) -> None:
        self._file = SQLiteFile(
            path,
            schema=_SCHEMA,
            version=_VERSION,
            upgrades={1: _upgraded_from_1},
            kind="delivery store",
            error=ConfigurationError,
        )
        self._path = path
        self._clock = clock

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self._path)!r})"

    async def add(self, events: Sequence[StatusEvent]) -> list[DeliveryChange]:
        """Store the events that are new. They are on disk on return. Return one change for each changed message."""
        return await self._file.together(partial(_added, events=events, now=self._clock()))

    async def get(self, message_ids: Iterable[str]) -> dict[str, Delivery]:
        """Return what is known of these messages. The status is None where nothing is known."""
        wanted = list(message_ids)

        def read(connection: sqlite3.Connection) -> dict[str, Delivery]:
            known, related = _related(connection, wanted)
            return {each: known_of(each, _family(known, related[each])) for each in wanted}

        return await self._file.do(read)

    async def prune(self, seconds: float) -> int:
        """Forget messages that have had no news for that many seconds. Return how many there were."""
        before = self._clock() - seconds
        pruned = 0
        # In slices, so that callbacks need not wait for all of it.
        while some := await self._file.together(partial(_pruned, before=before)):
            pruned += some
        return pruned

    async def aclose(self) -> None:
        """Finish what was begun and close the file. Closing twice does no harm."""
        await self._file.aclose()


def _added(connection: sqlite3.Connection, events: Sequence[StatusEvent], now: float) -> list[DeliveryChange]:
    events = list(map(_storable, events))
    news = by_message(events)
    known, related = _related(connection, list(news))
    changes = []
    for each in news:
        family = _family(known, related[each])
        changes.append(noted(each, family, news[each]))
        known[each] = family[each]
    connection.executemany("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?)", map(_row, events))
    connection.executemany(
        "INSERT INTO message VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET told = excluded.told",
        ((each, now, _rounded(each)) for each in news),
    )
    return [change for change in changes if change is not None]


def _known(connection: sqlite3.Connection, message_ids: list[str]) -> _Known:
    known: dict[str, list[StatusEvent]] = {}
    for row in connection.execute(_KNOWN, (json.dumps(message_ids),)):
        event = _event(*row)
        known.setdefault(event.message_id, []).append(event)
    return {**known}


def _related(connection: sqlite3.Connection, message_ids: list[str]) -> tuple[_Known, dict[str, set[str]]]:
    """Return the stored events by id, and for each id the ids that it depends on: itself and some of its family."""
    names = {each: _rounded(each) for each in message_ids}
    related = {each: {each, *forms_of(float(name))} if name else {each} for each, name in names.items()}
    known = _known(connection, list(set().union(*related.values())))
    # The given ids by float64, because those that are new are not found in the file.
    together: dict[str | None, list[str]] = {}
    for each, name in names.items():
        together.setdefault(name, []).append(each)
    more: set[str] = set()
    for each, name in names.items():
        if name and needs_members(each, _family(known, related[each])):
            members = {one for (one,) in connection.execute(_MEMBERS, (name,))}
            more |= members
            related[each] |= members.union(together[name][:MAX_MEMBERS])
    known.update(_known(connection, list(more - known.keys())))
    return known, related


def _family(known: _Known, related: Iterable[str]) -> _Known:
    return {each: known[each] for each in related if each in known}


def _rounded(message_id: str) -> str | None:
    nearest = family_of(message_id)
    return None if nearest is None else repr(nearest)


def _upgraded_from_1(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE message ADD COLUMN rounded TEXT")
    connection.create_function("rounded_of", 1, _rounded, deterministic=True)
    connection.execute("UPDATE message SET rounded = rounded_of(id)")
    connection.execute(_INDEX_OF_ROUNDED)


def _pruned(connection: sqlite3.Connection, before: float) -> int:
    found = connection.execute("SELECT id FROM message WHERE told < ? LIMIT ?", (before, _PRUNED_AT_ONCE))
    ids = json.dumps([each for (each,) in found])
    connection.execute("DELETE FROM event WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    return connection.execute("DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))", (ids,)).rowcount


def _row(event: StatusEvent) -> tuple[str, str, str, str]:
    # No NULLs: SQLite treats every NULL as different, so it would store the same event again and again.
    moment = "" if event.at is None else _in_utc(event.at).isoformat()
    return event.message_id, str(event.status), moment, "" if event.error_code is None else str(event.error_code)


def _in_utc(at: datetime) -> datetime:
    try:
        return at if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        # The first or the last day of the calendar, which some services use to say that there is no date.
        return at


def _storable(event: StatusEvent) -> StatusEvent:
    """Return the event without lone surrogates. SQLite refuses them, and all the other events would be lost too."""
    texts = (event.message_id, str(event.status))
    kept = [each.encode("utf-8", "replace").decode() for each in texts]
    return event if kept == list(texts) else evolve(event, message_id=kept[0], status=kept[1])


def _event(message_id: str, status: str, at: str, error_code: str) -> StatusEvent:
    return StatusEvent(
        message_id,
        status,
        datetime.fromisoformat(at) if at else None,
        int(error_code) if error_code else None,
    )
