"""A store in an SQLite file: what it was given is on disk when `add` returns, and survives the end of the process.

One thread of its own does the work, so that no query holds up the event loop; callers that come together share a
transaction. Several processes may use one file. What events mean is the ladder's.
"""

import asyncio
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from os import PathLike
from typing import TypeVar

from attrs import evolve

from ..errors import ClientClosed, ConfigurationError
from .ladder import Delivery, DeliveryChange, StatusEvent, delivery_of
from .store import by_message, noted

__all__ = ["SQLiteStore"]

T = TypeVar("T")
_Together = list[tuple[Sequence[StatusEvent], "asyncio.Future[list[DeliveryChange]]"]]

# Written into a file's user_version: a file of another form is refused, not misread.
_FORM = 1
_SCHEMA = f"""
CREATE TABLE message (id TEXT PRIMARY KEY, told REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX message_told ON message (told);
CREATE TABLE event (id TEXT, status TEXT, at TEXT, error_code TEXT, PRIMARY KEY (id, status, at, error_code))
    WITHOUT ROWID;
PRAGMA user_version = {_FORM};
"""
_KNOWN = "SELECT id, status, at, error_code FROM event WHERE id IN (SELECT value FROM json_each(?))"
_PRUNED_AT_ONCE = 1_000
_BUSY_SECONDS = 30.0


class SQLiteStore:
    """Keeps events in the file `path`, which is made if it is not there. Holds message ids, statuses, times and error
    codes, and neither texts nor phone numbers.

    Calls raise ConfigurationError if the file cannot be opened or is none of ours, ClientClosed after `aclose`.
    """

    def __init__(self, path: str | PathLike[str], *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "devino-store")
        self._connection: sqlite3.Connection | None = None
        self._waiting: _Together = []
        self._writing: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"SQLiteStore({str(self._path)!r})"

    async def add(self, events: Sequence[StatusEvent]) -> list[DeliveryChange]:
        """Keep those that are new; when it returns they are on disk. Gives what changed, one Change a message."""
        self._check_open()
        if not events:
            return []
        changes: asyncio.Future[list[DeliveryChange]] = asyncio.get_running_loop().create_future()
        self._waiting.append((events, changes))
        if self._writing is None or self._writing.done():
            under_way: _Together = []
            self._writing = asyncio.create_task(self._write(under_way), name="devino-store")
            self._writing.add_done_callback(partial(self._cut_short, under_way))
        return await changes

    async def get(self, message_ids: Iterable[str]) -> dict[str, Delivery]:
        """What is known of these messages; those of which nothing is known have a status of None."""
        self._check_open()
        wanted = list(message_ids)

        def read(connection: sqlite3.Connection) -> dict[str, Delivery]:
            known = _known(connection, wanted)
            return {each: delivery_of(each, known.get(each, ())) for each in wanted}

        return await self._do(read)

    async def prune(self, seconds: float) -> int:
        """Forget messages of which nothing was told for so many seconds; gives how many."""
        self._check_open()
        before = self._clock() - seconds
        pruned = 0
        # In slices, so that callbacks need not wait for all of it.
        while some := await self._do(lambda connection: _pruned(connection, before)):
            pruned += some
        return pruned

    async def aclose(self) -> None:
        """Finish what was begun and close the file. Closing twice does no harm."""
        if self._closed:
            return
        self._closed = True
        if self._writing is not None and not self._writing.done():
            await asyncio.wait({self._writing})
        # In its own thread, behind whatever a caller that has left has it doing still.
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("the store is closed")

    async def _write(self, together: _Together) -> None:
        while self._waiting:
            together[:], self._waiting = self._waiting, []
            try:
                events = [event for some, _ in together for event in some]
                changes = await self._do(partial(_added, events=events, now=self._clock()))
            except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
                for _, told in together:
                    if not told.done():
                        told.set_exception(error)
                continue
            _tell(changes, together)

    def _cut_short(self, together: _Together, writing: "asyncio.Task[None]") -> None:
        # Only the end of an event loop cancels it. Nobody can tell any more whether the file has it.
        if writing.cancelled():
            if self._writing is writing:
                together, self._waiting = together + self._waiting, []
            for _, told in together:
                if not told.done():
                    told.set_exception(ClientClosed("the store was cut short while it wrote"))

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_connection, work)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _with_connection(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = _opened(self._path)
        return work(self._connection)


def _tell(changes: dict[str, DeliveryChange], together: _Together) -> None:
    """Give each caller the changes of its messages; of several callers with one message the first has it."""
    for events, told in together:
        own = [changes.pop(each) for each in dict.fromkeys(event.message_id for event in events) if each in changes]
        if not told.done():
            told.set_result(own)


def _opened(path: str | PathLike[str]) -> sqlite3.Connection:
    problem: str
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        problem = str(error)
    else:
        try:
            return _prepared(connection)
        except sqlite3.Error as error:
            problem = str(error)
        except ConfigurationError:
            connection.close()
            raise
        connection.close()
    raise ConfigurationError(f"the store's file cannot be used: {problem}")


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            # Alone of all statements it does not wait while another process opens the file.
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
    # On disk at every commit, not just at checkpoints.
    connection.execute("PRAGMA synchronous = FULL")
    with _transaction(connection):
        [form] = connection.execute("PRAGMA user_version").fetchone()
        [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if form != _FORM and tables:
            raise ConfigurationError("the store's file was not made by this version of DeliveryTracker")
        if not tables:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing, also where the disk is full."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Some errors have rolled back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _added(connection: sqlite3.Connection, events: Sequence[StatusEvent], now: float) -> dict[str, DeliveryChange]:
    events = list(map(_storable, events))
    news = by_message(events)
    with _transaction(connection):
        known = _known(connection, list(news))
        changes = {each: noted(each, known.setdefault(each, set()), news[each]) for each in news}
        connection.executemany("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?)", map(_row, events))
        connection.executemany(
            "INSERT INTO message VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET told = excluded.told",
            ((each, now) for each in news),
        )
    return {each: change for each, change in changes.items() if change is not None}


def _known(connection: sqlite3.Connection, message_ids: list[str]) -> dict[str, set[StatusEvent]]:
    known: dict[str, set[StatusEvent]] = {}
    for row in connection.execute(_KNOWN, (json.dumps(message_ids),)):
        event = _event(*row)
        known.setdefault(event.message_id, set()).add(event)
    return known


def _pruned(connection: sqlite3.Connection, before: float) -> int:
    with _transaction(connection):
        found = connection.execute("SELECT id FROM message WHERE told < ? LIMIT ?", (before, _PRUNED_AT_ONCE))
        ids = json.dumps([each for (each,) in found])
        connection.execute("DELETE FROM event WHERE id IN (SELECT value FROM json_each(?))", (ids,))
        return connection.execute("DELETE FROM message WHERE id IN (SELECT value FROM json_each(?))", (ids,)).rowcount


def _row(event: StatusEvent) -> tuple[str, str, str, str]:
    # No NULLs: they would all be different from one another, and the same event be kept again and again.
    moment = "" if event.at is None else _in_utc(event.at).isoformat()
    return event.message_id, str(event.status), moment, "" if event.error_code is None else str(event.error_code)


def _in_utc(at: datetime) -> datetime:
    try:
        return at if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        # The first or the last day of all, as some services write that there is none.
        return at


def _storable(event: StatusEvent) -> StatusEvent:
    """The event without halves of surrogate pairs, which cannot be kept and must not cost the events of others."""
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
