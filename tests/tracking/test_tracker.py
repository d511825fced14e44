"""DeliveryTracker on both stores: fed in any order, waited on, read, polled, pruned."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devino_async import (
    Accepted,
    ChangesMissed,
    ClientClosed,
    ConfigurationError,
    DeliveryTracker,
    MemoryStore,
    Message,
    MessageStatus,
    NotSent,
    RequestNotSent,
    SQLiteStore,
    Status,
    StatusCallback,
    Unauthorized,
)
from devino_async.tracking.ladder import StatusEvent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STEPS = [Status.ACCEPTED, Status.ENROUTE, Status.SENT, Status.DELIVERED]
MESSAGE = Message(sender="MyCompany", to="79000000001", text="Hello")


def callback(message_id: str, status: Status, seconds: int = 0) -> StatusCallback:
    return StatusCallback(message_id, NOON + timedelta(seconds=seconds), status, 0)


def history(message_id: str) -> list[StatusCallback]:
    return [callback(message_id, status, step) for step, status in enumerate(STEPS)]


class Clock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
async def tracker(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> AsyncIterator[DeliveryTracker]:
    in_memory = request.param == "memory"
    store = MemoryStore(clock=clock) if in_memory else SQLiteStore(tmp_path / "deliveries.db", clock=clock)
    async with DeliveryTracker(store, backlog=50) as made:
        yield made


async def test_news_in_any_order(tracker: DeliveryTracker) -> None:
    """A callback may come before the send's receipt, twice and late: what is final stays."""
    await tracker.on_status([callback("1", Status.DELIVERED, 9)])
    await tracker.on_receipts([Accepted(MESSAGE, "1"), NotSent(MESSAGE, RequestNotSent("no", operation="send"))])
    await tracker.on_status([*history("1"), *history("1")])
    found = await tracker.delivery("1")
    assert (found.status, found.final, found.conflicting) == (Status.DELIVERED, True, ())
    assert found.at == NOON + timedelta(seconds=3)
    assert (await tracker.delivery("2")).status is None


async def test_waiting(tracker: DeliveryTracker) -> None:
    """Everybody who waits for a message hears when it is final; whoever comes later hears at once."""
    waiting = [asyncio.create_task(tracker.wait("1")) for _ in range(3)]
    await tracker.on_status([callback("1", Status.SENT)])
    assert not any(task.done() for task in waiting)
    await tracker.on_status([callback("1", Status.EXPIRED, 1)])
    assert {each.status for each in await asyncio.gather(*waiting)} == {Status.EXPIRED}
    assert (await tracker.wait("1", timeout=30)).status is Status.EXPIRED
    assert tracker._waiters == {}


async def test_waiting_has_an_end(tracker: DeliveryTracker) -> None:
    """A wait ends by its time-out or by being cancelled, and leaves nothing behind."""
    with pytest.raises(TimeoutError):
        await tracker.wait("1", timeout=0)
    task = asyncio.create_task(tracker.wait("1"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tracker._waiters == {}


async def test_changes(tracker: DeliveryTracker) -> None:
    """Each reader is given every change once, before and after; what says nothing new is no change."""
    readers = [tracker.changes(), tracker.changes()]
    firsts = [asyncio.ensure_future(anext(each)) for each in readers]
    await asyncio.sleep(0)
    for event in [*history("1"), *history("1")]:
        await tracker.on_status([event])
    for reader, first in zip(readers, firsts, strict=True):
        seen = [await first] + [await anext(reader) for _ in STEPS[1:]]
        assert [each.after.status for each in seen] == STEPS
        assert [each.before.status for each in seen] == [None, *STEPS[:-1]]
        await reader.aclose()
    assert tracker._readers == set()


async def test_a_slow_reader(tracker: DeliveryTracker) -> None:
    """A reader that falls too far behind is given what it could keep, then told how many it missed; nobody waits."""
    reader = tracker.changes()
    first = asyncio.ensure_future(anext(reader))
    await asyncio.sleep(0)
    for number in range(70):
        await tracker.on_status([callback(str(number), Status.SENT)])
    seen = [(await first).after.message_id]
    with pytest.raises(ChangesMissed) as missed:
        while True:
            seen.append((await anext(reader)).after.message_id)
    assert seen == [str(number) for number in range(len(seen))]
    assert len(seen) in {50, 51}
    assert str(missed.value).startswith(f"{70 - len(seen)} ")


class Service:
    """Answers look-ups from what it knows, and remembers what it was asked."""

    def __init__(self, **known: Status) -> None:
        self.known: dict[str, Status] = {name.removeprefix("id"): status for name, status in known.items()}
        self.asked: list[list[str]] = []
        self.failures: list[Exception] = []

    async def look_up(self, ids: list[str]) -> Mapping[str, MessageStatus]:
        self.asked.append(ids)
        if self.failures:
            raise self.failures.pop(0)
        return {each: MessageStatus(each, self.known[each]) for each in ids if each in self.known}


class Sleeps:
    """Notes each pause, and does meanwhile what it is told."""

    def __init__(self, *meanwhile: Any) -> None:
        self.pauses: list[float] = []
        self.meanwhile = list(meanwhile)

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.meanwhile:
            await self.meanwhile.pop(0)()


async def test_polling(tracker: DeliveryTracker) -> None:
    """Polling asks 500 at a time with growing pauses, and no more for what is final."""
    ids = [str(number) for number in range(1_200)]
    service = Service(**{f"id{each}": Status.SENT for each in ids})

    async def some_arrive() -> None:
        service.known |= dict.fromkeys(ids[:1_000], Status.DELIVERED)

    async def all_arrive() -> None:
        service.known |= dict.fromkeys(ids, Status.DELIVERED)

    sleeps = Sleeps(some_arrive, all_arrive)
    found = await tracker.poll_until_final(ids, service.look_up, pause=4, longest_pause=5, sleep=sleeps)
    assert list(map(len, service.asked)) == [500, 500, 200, 500, 500, 200, 200]
    assert sleeps.pauses == [4, 5]
    assert list(found) == ids
    assert {each.status for each in found.values()} == {Status.DELIVERED}


async def test_polling_stops_for_what_callbacks_settle(tracker: DeliveryTracker) -> None:
    """What a callback settles is not asked for again, and when all is settled the pause ends at once."""
    service = Service(id1=Status.SENT, id2=Status.SENT)

    async def one() -> None:
        await tracker.on_status([callback("1", Status.DELIVERED)])

    async def other() -> None:
        await tracker.on_status([callback("2", Status.EXPIRED)])
        await asyncio.Event().wait()

    found = await tracker.poll_until_final(["1", "2"], service.look_up, sleep=Sleeps(one, other))
    assert service.asked == [["1", "2"], ["2"]]
    assert [each.status for each in found.values()] == [Status.DELIVERED, Status.EXPIRED]
    assert tracker._polls == set()


async def test_polling_has_a_deadline(tracker: DeliveryTracker, clock: Clock) -> None:
    """After the deadline polling gives what it knows; the last pause is cut to it."""
    service = Service(id1=Status.SENT)

    async def time_passes() -> None:
        clock.now += sleeps.pauses[-1]

    sleeps = Sleeps(*[time_passes] * 9)
    found = await tracker.poll_until_final(["1", "2"], service.look_up, pause=4, deadline=5, clock=clock, sleep=sleeps)
    assert sleeps.pauses == [4, 1]
    assert [each.status for each in found.values()] == [Status.SENT, None]


async def test_polling_bears_failures(tracker: DeliveryTracker) -> None:
    """A look-up that fails is asked again with the next round; an unusable credential is raised."""
    service = Service(id1=Status.DELIVERED)
    service.failures = [RequestNotSent("no", operation="statuses")]
    assert (await tracker.poll_until_final(["1"], service.look_up, sleep=Sleeps()))["1"].final
    assert len(service.asked) == 2
    service.failures = [Unauthorized("no", operation="statuses", status=401)]
    with pytest.raises(Unauthorized):
        await tracker.poll_until_final(["5"], service.look_up, sleep=Sleeps())
    assert tracker._polls == set()
    assert await tracker.poll_until_final([], service.look_up) == {}


async def test_pruning(tracker: DeliveryTracker, clock: Clock) -> None:
    """Messages of which nothing was told for long are forgotten; news keeps a message."""
    await tracker.on_status([each for number in range(2_500) for each in history(str(number))])
    clock.now += 100
    await tracker.on_status(history("7"))
    assert await tracker.prune(50) == 2_499
    assert (await tracker.delivery("7")).final
    assert (await tracker.delivery("8")).status is None
    assert await tracker.prune(50) == 0


async def test_many_shuffled_duplicates_from_many_tasks(tracker: DeliveryTracker) -> None:
    """Events of many messages, each twice, all shuffled, from many tasks at once: every final state is right."""
    chance = random.Random(5)
    ends = {str(number): chance.choice([Status.DELIVERED, Status.EXPIRED, Status.SENT]) for number in range(1_000)}
    told = [
        callback(message_id, status, step)
        for message_id, end in ends.items()
        for step, status in enumerate([Status.ACCEPTED, Status.ENROUTE, Status.SENT, end])
    ] * 2
    chance.shuffle(told)

    async def feed(share: list[StatusCallback]) -> None:
        while share:
            size = chance.randint(1, 60)
            await tracker.on_status([share.pop() for _ in range(min(size, len(share)))])

    await asyncio.gather(*(feed(told[task::20]) for task in range(20)))
    assert {each: (await tracker.delivery(each)).status for each in ends} == ends


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
    """The same news gives the same deliveries in memory and in a file, also when the file is opened again."""
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
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM event").fetchone() == (6,)
    connection.close()


async def test_odd_text_costs_nobody_anything(tracker: DeliveryTracker) -> None:
    """Ids and statuses that cannot be kept as text do not cost the events of others."""
    odd = StatusCallback("\ud800", NOON, "PONDERED \udfff", 10**30)
    await asyncio.gather(tracker.on_status([odd, *history("1")]), tracker.on_status(history("2")))
    for each in "12":
        assert (await tracker.delivery(each)).status is Status.DELIVERED


async def test_a_full_disk(tmp_path: Path) -> None:
    """When the disk is full the feeder is told so and nothing is half kept; with room again all goes on."""
    store = SQLiteStore(tmp_path / "deliveries.db")
    async with DeliveryTracker(store) as tracker:
        await tracker.on_status(history("1"))
        await store._do(lambda connection: connection.execute("PRAGMA max_page_count = 1"))
        with pytest.raises(sqlite3.OperationalError, match="full"):
            await tracker.on_status([event for number in range(500) for event in history(f"{number}-" * 20)])
        assert (await tracker.delivery("0-" * 20)).status is None
        await store._do(lambda connection: connection.execute("PRAGMA max_page_count = 100000"))
        await tracker.on_status(history("2"))
        for each in "12":
            assert (await tracker.delivery(each)).final


async def test_two_writers_of_one_file(tmp_path: Path) -> None:
    """Two stores on one file lose nothing of each other's."""
    path = tmp_path / "deliveries.db"
    async with DeliveryTracker(SQLiteStore(path)) as one, DeliveryTracker(SQLiteStore(path)) as other:

        async def feed(tracker: DeliveryTracker, statuses: Iterable[Status]) -> None:
            for status in statuses:
                for number in range(20):
                    await tracker.on_status([callback(str(number), status)])

        await asyncio.gather(feed(one, STEPS[:2]), feed(other, STEPS[2:]))
        for number in range(20):
            assert (await one.delivery(str(number))).status is Status.DELIVERED
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM event").fetchone() == (80,)
    connection.close()


@pytest.mark.parametrize("content", [b"x" * 5_000, None])
async def test_files_that_are_none_of_ours(content: bytes | None, tmp_path: Path) -> None:
    """A file of another kind, or of another version, is refused with a clear error and left as it is."""
    path = tmp_path / "other.db"
    if content is None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE other (x)")
        connection.close()
    else:
        path.write_bytes(content)
    async with DeliveryTracker(SQLiteStore(path)) as tracker:
        with pytest.raises(ConfigurationError, match="file"):
            await tracker.on_status(history("1"))
        with pytest.raises(ConfigurationError, match="file"):
            await tracker.delivery("1")


async def test_a_closed_store(tmp_path: Path) -> None:
    """After closing, which may be done twice, a store says that it is closed; what was under way is finished."""
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


@pytest.mark.parametrize("turns", range(8))
async def test_news_of_a_cancelled_caller(tracker: DeliveryTracker, turns: int) -> None:
    """Where whoever brings news is cancelled in the middle, those who wait for it are told all the same."""
    waiting = asyncio.create_task(tracker.wait("249", timeout=60))
    await asyncio.sleep(0)
    bringing = asyncio.create_task(tracker.on_status([callback(str(each), Status.DELIVERED) for each in range(250)]))
    for _ in range(turns):
        await asyncio.sleep(0)
    bringing.cancel()
    await asyncio.wait({bringing})
    if not turns:
        # It had not begun, and so had brought nothing.
        await tracker.on_status([callback("249", Status.DELIVERED)])
    assert (await waiting).final


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_a_writer_that_was_cancelled(tmp_path: Path, turns: int) -> None:
    """Where the writing is cut short, as at the end of an event loop, its callers hear of it; later news is kept."""
    store = SQLiteStore(tmp_path / "deliveries.db")
    adding = asyncio.create_task(store.add([StatusEvent("1", Status.SENT)]))
    for _ in range(turns):
        await asyncio.sleep(0)
    [writing] = [task for task in asyncio.all_tasks() if task.get_name() == "devino-store"]
    writing.cancel()
    with pytest.raises(ClientClosed):
        await adding
    await store.add([StatusEvent("1", Status.DELIVERED)])
    assert (await store.get(["1"]))["1"].final
    await store.aclose()


async def test_odd_news(tracker: DeliveryTracker) -> None:
    """Dates at the end of all time are kept; a status given as text is the same as the status itself."""
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=3)))
    await tracker.on_status([StatusCallback("1", first, Status.DELIVERED, 0)])
    assert (await tracker.delivery("1")).at == first
    known = [StatusEvent("2", Status.ACCEPTED, NOON), StatusEvent("2", "SENT", NOON + timedelta(seconds=1))]
    [change] = await tracker._store.add(known)
    assert change.after == await tracker.delivery("2")
    assert change.after.status is Status.SENT


async def test_memory_is_bounded() -> None:
    """Beyond its bound a store in memory forgets those longest without news."""
    tracker = DeliveryTracker(MemoryStore(max_messages=10))
    for number in range(30):
        await tracker.on_status([callback("kept", Status.SENT), callback(str(number), Status.SENT)])
    assert (await tracker.delivery("kept")).status is Status.SENT
    assert (await tracker.delivery("0")).status is None
    assert (await tracker.delivery("29")).status is Status.SENT


@pytest.mark.parametrize("wrong", [lambda: MemoryStore(max_messages=0), lambda: DeliveryTracker(backlog=0)])
def test_options_that_cannot_work(wrong: Any) -> None:
    """Bounds that cannot work are refused."""
    with pytest.raises(ConfigurationError):
        wrong()
