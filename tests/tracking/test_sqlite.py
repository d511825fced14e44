"""SQLiteStore: what it keeps in its file. The file itself, its transactions and its thread: tests/storage."""

import asyncio
import sqlite3
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devino_async import (
    ClientClosed,
    ConfigurationError,
    Delivery,
    DeliveryTracker,
    MessageStatus,
    SQLiteStore,
    Status,
    StatusCallback,
)
from devino_async.tracking import sqlite as sqlite_module
from devino_async.tracking.ladder import StatusEvent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STEPS = [Status.ACCEPTED, Status.ENROUTE, Status.SENT, Status.DELIVERED]


def callback(message_id: str, status: Status, seconds: int = 0) -> StatusCallback:
    return StatusCallback(message_id, NOON + timedelta(seconds=seconds), status, 0)


def history(message_id: str) -> list[StatusCallback]:
    return [callback(message_id, status, step) for step, status in enumerate(STEPS)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    news=st.lists(
        st.builds(callback, st.sampled_from("123"), st.sampled_from([*Status]), st.integers(0, 3)),
        max_size=20,
    ),
    cut=st.integers(0, 20),
)
async def test_both_stores_agree(
    news: list[StatusCallback], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same news gives the same deliveries in memory and in a file, also after the file is opened again."""
    path = tmp_path_factory.mktemp("store") / "deliveries.db"
    memory = DeliveryTracker()
    for part in (news[:cut], news[cut:]):
        await memory.on_status(part)
        async with DeliveryTracker(SQLiteStore(path)) as file:
            await file.on_status(part)
    async with DeliveryTracker(SQLiteStore(path)) as file:
        for each in "123":
            assert await file.delivery(each) == await memory.delivery(each)


async def test_every_unique_event_is_stored_once(tmp_path: Path) -> None:
    """A file holds each unique event once, those without a time or an error code too."""
    path = tmp_path / "deliveries.db"
    async with DeliveryTracker(SQLiteStore(path)) as tracker:
        for _ in range(3):
            await tracker.on_status(history("1"))
            await tracker.on_look_up([MessageStatus("1", Status.SENT), MessageStatus("1", "PONDERED")])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (6,)


async def test_a_full_disk(tmp_path: Path) -> None:
    """When the disk is full the caller gets the error and nothing is half kept. With space again all goes on."""
    store = SQLiteStore(tmp_path / "deliveries.db")
    async with DeliveryTracker(store) as tracker:
        await tracker.on_status(history("1"))
        await store._file.do(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchall())
        with pytest.raises(sqlite3.OperationalError, match="full"):
            await tracker.on_status([event for number in range(500) for event in history(f"{number}-" * 20)])
        assert (await tracker.delivery("0-" * 20)).status is None
        await store._file.do(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchall())
        await tracker.on_status(history("2"))
        for each in "12":
            assert (await tracker.delivery(each)).final


async def test_two_writers_of_one_file(tmp_path: Path) -> None:
    """Two stores on one file lose nothing of each other."""
    path = tmp_path / "deliveries.db"
    async with DeliveryTracker(SQLiteStore(path)) as one, DeliveryTracker(SQLiteStore(path)) as other:

        async def feed(tracker: DeliveryTracker, statuses: Iterable[Status]) -> None:
            for status in statuses:
                for number in range(20):
                    await tracker.on_status([callback(str(number), status)])

        await asyncio.gather(feed(one, STEPS[:2]), feed(other, STEPS[2:]))
        for number in range(20):
            assert (await one.delivery(str(number))).status is Status.DELIVERED
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (80,)


async def test_a_file_of_something_else(tmp_path: Path) -> None:
    """A file that no store has made is refused by ConfigurationError."""
    path = tmp_path / "other.db"
    path.write_bytes(b"x" * 5_000)
    async with DeliveryTracker(SQLiteStore(path)) as tracker:
        for call in (tracker.on_status(history("1")), tracker.delivery("1")):
            with pytest.raises(ConfigurationError, match="cannot be used as a delivery store"):
                await call


FORM_1 = """
CREATE TABLE message (id TEXT PRIMARY KEY, told REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX message_told ON message (told);
CREATE TABLE event (id TEXT, status TEXT, at TEXT, error_code TEXT, PRIMARY KEY (id, status, at, error_code))
    WITHOUT ROWID;
INSERT INTO message VALUES ('1', 1000000.0);
INSERT INTO event VALUES ('1', 'DELIVERED', '2026-11-23T12:00:00+00:00', '0');
INSERT INTO message VALUES ('2305843009213694000', 1000000.0);
INSERT INTO event VALUES ('2305843009213694000', 'EXPIRED', '2026-11-23T12:00:00+00:00', '0');
INSERT INTO message VALUES ('4611686018427387905', 1000000.0), ('4611686018427387906', 1000000.0);
INSERT INTO message VALUES ('4611686018427388000', 1000000.0);
INSERT INTO event VALUES ('4611686018427387905', 'ACCEPTED', '', ''), ('4611686018427387906', 'ACCEPTED', '', '');
INSERT INTO event VALUES ('4611686018427388000', 'DELIVERED', '2026-11-23T12:00:00+00:00', '0');
PRAGMA user_version = 1;
"""


async def test_files_of_earlier_releases(tmp_path: Path) -> None:
    """A file that an earlier release has made is brought to this one's form, then read and written."""
    path = tmp_path / "deliveries.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FORM_1)
    async with DeliveryTracker(SQLiteStore(path)) as tracker:
        assert (await tracker.delivery(str(2**61 + 1))).status is Status.EXPIRED
        # The neighbours of the old file are known, so the rounded id is not guessed between them.
        assert (await tracker.delivery(str(2**62 + 1))).status is Status.ACCEPTED
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        [plan] = connection.execute("EXPLAIN QUERY PLAN SELECT id FROM message WHERE rounded = '1'")
        assert "message_rounded" in plan[-1]
    async with DeliveryTracker(SQLiteStore(path)) as tracker:
        assert await tracker.delivery("1") == Delivery("1", Status.DELIVERED, NOON, 0, final=True)
        await tracker.on_status([callback("1", Status.CLICKED, 5)])
        assert (await tracker.delivery("1")).status is Status.CLICKED


async def test_callers_that_come_together(tmp_path: Path) -> None:
    """Of several callers with news of one message, each gets the change that its own news made."""
    store = SQLiteStore(tmp_path / "deliveries.db")
    news = [[StatusEvent("1", status, NOON)] for status in STEPS]
    changes = await asyncio.gather(*(store.add(each) for each in [*news, news[0]]))
    assert [[each.after.status for each in some] for some in changes] == [*([status] for status in STEPS), []]
    await store.aclose()


def test_many_event_loops(tmp_path: Path) -> None:
    """A store in a file serves the event loops of several threads, and loses nothing of any."""
    store = SQLiteStore(tmp_path / "deliveries.db")

    def in_its_own_loop(number: int) -> None:
        for each in range(20):
            asyncio.run(store.add([StatusEvent(f"{number}-{each}", Status.SENT, NOON)]))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(in_its_own_loop, range(8)))

    async def check() -> None:
        found = await store.get([f"{number}-{each}" for number in range(8) for each in range(20)])
        assert {each.status for each in found.values()} == {Status.SENT}
        await store.aclose()

    asyncio.run(check())


async def test_the_look_up_of_rounded_ids_is_fast(tmp_path: Path) -> None:
    """Neither reading nor adding goes through the whole table, however many messages are kept."""
    store = SQLiteStore(tmp_path / "deliveries.db")
    await store.add([StatusEvent(str(2**61 + number), Status.SENT, NOON) for number in range(0, 50_000, 500)])

    def plans(connection: sqlite3.Connection) -> str:
        return str(connection.execute(f"EXPLAIN QUERY PLAN {sqlite_module._MEMBERS}", ("1",)).fetchall())

    said = await store._file.do(plans)
    assert "SEARCH message" in said
    assert "SCAN message" not in said
    await store.aclose()


async def test_a_closed_store(tmp_path: Path) -> None:
    """Closing finishes what was under way and may be done twice. Calls after it raise ClientClosed."""
    store = SQLiteStore(tmp_path / "deliveries.db")
    tracker = DeliveryTracker(store)
    adding = asyncio.create_task(tracker.on_status(history("1")))
    await asyncio.sleep(0)
    await tracker.aclose()
    await adding
    await tracker.aclose()
    for call in (tracker.on_status(history("1")), tracker.delivery("1"), tracker.prune(1)):
        with pytest.raises(ClientClosed):
            await call
