"""DeliveryTracker on both stores: fed in any order, waited on, read, polled, pruned."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from devino_async import (
    Accepted,
    ChangesMissed,
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
    """Every waiter of a message wakes up when it is final. A later one returns at once."""
    waiting = [asyncio.create_task(tracker.wait("1")) for _ in range(3)]
    await tracker.on_status([callback("1", Status.SENT)])
    assert not any(task.done() for task in waiting)
    await tracker.on_status([callback("1", Status.EXPIRED, 1)])
    assert {each.status for each in await asyncio.gather(*waiting)} == {Status.EXPIRED}
    assert (await tracker.wait("1", timeout=30)).status is Status.EXPIRED
    assert tracker._waiters == {}


async def test_waiting_has_an_end(tracker: DeliveryTracker) -> None:
    """A wait ends by its time-out or by cancellation, and leaves nothing behind."""
    with pytest.raises(TimeoutError):
        await tracker.wait("1", timeout=0)
    task = asyncio.create_task(tracker.wait("1"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert tracker._waiters == {}


async def test_changes(tracker: DeliveryTracker) -> None:
    """Each reader gets every change once, with before and after. News that says nothing new is not a change."""
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
    """A slow reader gets the changes within its backlog, then an error that counts the others. No feeder waits."""
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
    """Answer look-ups from what is known, and remember what was asked."""

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
    """Note each pause, and run the test's coroutines meanwhile."""

    def __init__(self, *meanwhile: Any) -> None:
        self.pauses: list[float] = []
        self.meanwhile = list(meanwhile)

    async def __call__(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.meanwhile:
            await self.meanwhile.pop(0)()


async def test_polling(tracker: DeliveryTracker) -> None:
    """Polling asks for 500 at a time with growing pauses, and never again for what is final."""
    ids = [str(number) for number in range(1_200)]
    service = Service(**{f"id{each}": Status.SENT for each in ids})

    async def some_arrive() -> None:
        service.known |= dict.fromkeys(ids[:1_000], Status.DELIVERED)

    async def all_arrive() -> None:
        service.known |= dict.fromkeys(ids, Status.DELIVERED)

    sleeps = Sleeps(some_arrive, all_arrive)
    found = await tracker.poll_until_final(ids, service.look_up, pause=4, max_pause=5, sleep=sleeps)
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
    """After the deadline polling returns what is known. The last pause ends with the deadline."""
    service = Service(id1=Status.SENT)

    async def time_passes() -> None:
        clock.now += sleeps.pauses[-1]

    sleeps = Sleeps(*[time_passes] * 9)
    found = await tracker.poll_until_final(["1", "2"], service.look_up, pause=4, deadline=5, clock=clock, sleep=sleeps)
    assert sleeps.pauses == [4, 1]
    assert [each.status for each in found.values()] == [Status.SENT, None]


async def test_polling_bears_failures(tracker: DeliveryTracker) -> None:
    """A look-up that fails is repeated in the next round. An unusable credential is raised."""
    service = Service(id1=Status.DELIVERED)
    service.failures = [RequestNotSent("no", operation="statuses")]
    assert (await tracker.poll_until_final(["1"], service.look_up, sleep=Sleeps()))["1"].final
    assert len(service.asked) == 2
    service.failures = [Unauthorized("no", operation="statuses", status=401)]
    with pytest.raises(Unauthorized):
        await tracker.poll_until_final(["5"], service.look_up, sleep=Sleeps())
    assert tracker._polls == set()
    assert await tracker.poll_until_final([], service.look_up) == {}


async def test_polling_says_what_failed(tracker: DeliveryTracker, caplog: pytest.LogCaptureFixture) -> None:
    """on_failure gets the ids and the error of each look-up that failed, and the log a count and a reason a round."""
    ids = [str(number) for number in range(600)]
    service = Service(**{f"id{each}": Status.DELIVERED for each in ids})
    error = RequestNotSent("no route", operation="statuses")
    service.failures = [error]
    told: list[tuple[int, Exception]] = []
    await tracker.poll_until_final(
        ids, service.look_up, sleep=Sleeps(), on_failure=lambda some, error: told.append((len(some), error))
    )
    assert told == [(500, error)]
    [said] = [record.getMessage() for record in caplog.records]
    assert said == "1 of 2 status look-ups failed, the last one: statuses failed: no route"


async def test_polling_gives_up(tracker: DeliveryTracker, clock: Clock) -> None:
    """Where no look-up is answered the error is raised, after so many rounds in a row or at the deadline."""
    service = Service(id1=Status.SENT)
    service.failures = [RequestNotSent(f"{number}", operation="statuses") for number in range(9)]
    with pytest.raises(RequestNotSent, match="3"):
        await tracker.poll_until_final(["1"], service.look_up, sleep=Sleeps(), max_failed_rounds=4)
    with pytest.raises(RequestNotSent, match="4"):
        await tracker.poll_until_final(["1"], service.look_up, sleep=Sleeps(), deadline=0, clock=clock)
    assert len(service.asked) == 5
    # An answer in between begins the count anew, and what was answered once is returned at the deadline.
    service.failures = []

    async def fails_then() -> None:
        clock.now += 1
        service.failures = [RequestNotSent("late", operation="statuses")]

    found = await tracker.poll_until_final(
        ["1"], service.look_up, sleep=Sleeps(fails_then), deadline=1, clock=clock, max_failed_rounds=2
    )
    assert found["1"].status is Status.SENT


# 2 ** 61 + 1 and + 2 are one float64, which JavaScript prints as ROUNDED.
ID, NEIGHBOUR = str(2**61 + 1), str(2**61 + 2)
ROUNDED = "2305843009213694000"


@pytest.mark.parametrize("form", [ROUNDED, str(2**61)])
@pytest.mark.parametrize("first", ["receipt", "callback"])
async def test_a_rounded_id(tracker: DeliveryTracker, form: str, first: str) -> None:
    """News of an id that a float64 has rounded counts for the only known id with that float64, in either order."""
    reader = tracker.changes()
    change = asyncio.ensure_future(anext(reader))
    waiting = asyncio.create_task(tracker.wait(ID, timeout=60))
    await asyncio.sleep(0)
    if first == "receipt":
        await tracker.on_receipts([Accepted(MESSAGE, ID)])
    await tracker.on_status([callback(form, Status.DELIVERED)])
    if first == "callback":
        await tracker.on_receipts([Accepted(MESSAGE, ID)])
    assert (await tracker.delivery(ID)).status is Status.DELIVERED
    assert await waiting == await tracker.delivery(ID)
    changes = [await change, await anext(reader)]
    assert changes[1].after == await tracker.delivery(ID)
    await reader.aclose()


async def test_a_rounded_id_is_never_guessed(tracker: DeliveryTracker) -> None:
    """Between two known ids with one float64 the news belongs to neither, also if the second one comes later."""
    await tracker.on_receipts([Accepted(MESSAGE, ID)])
    await tracker.on_status([callback(ROUNDED, Status.DELIVERED)])
    assert (await tracker.delivery(ID)).status is Status.DELIVERED
    await tracker.on_receipts([Accepted(MESSAGE, NEIGHBOUR)])
    for each in (ID, NEIGHBOUR):
        assert (await tracker.delivery(each)).status is Status.ACCEPTED
    assert (await tracker.delivery(ROUNDED)).status is Status.DELIVERED


async def test_a_rounded_id_in_the_same_news(tracker: DeliveryTracker) -> None:
    """A receipt and a rounded callback that are stored together give changes of the one message."""
    changes = await tracker._store.add([StatusEvent(ID, Status.ACCEPTED), StatusEvent(ROUNDED, Status.DELIVERED, NOON)])
    assert [(each.after.message_id, each.after.status) for each in changes] == [
        (ID, Status.ACCEPTED),
        (ID, Status.DELIVERED),
    ]


async def test_dense_ids(tracker: DeliveryTracker) -> None:
    """Hundreds of known ids with one float64 keep their own news, and a rounded one counts for none of them."""
    ids = [str(2**61 + number) for number in range(-100, 200) if number != 48]
    await tracker.on_receipts([Accepted(MESSAGE, each) for each in ids])
    await tracker.on_status([callback(ROUNDED, Status.EXPIRED), *(callback(each, Status.SENT) for each in ids)])
    await tracker.on_status([callback(each, Status.DELIVERED, 1) for each in ids])
    assert {(await tracker.delivery(each)).status for each in ids} == {Status.DELIVERED}


async def test_an_exact_id_is_its_own(tracker: DeliveryTracker) -> None:
    """An id that happens to look rounded keeps its own news, and what a float64 holds exactly is never joined."""
    await tracker.on_receipts([Accepted(MESSAGE, str(2**61)), Accepted(MESSAGE, ID), Accepted(MESSAGE, "5")])
    await tracker.on_status([callback(str(2**61), Status.DELIVERED), callback("05", Status.EXPIRED)])
    await tracker.on_status([callback(NEIGHBOUR, Status.REJECTED)])
    assert [(await tracker.delivery(each)).status for each in (str(2**61), ID, NEIGHBOUR, "5")] == [
        Status.DELIVERED, Status.ACCEPTED, Status.REJECTED, Status.ACCEPTED,
    ]  # fmt: skip


async def test_forgetting_a_neighbour(tracker: DeliveryTracker, clock: Clock) -> None:
    """A message that was forgotten is not known any more, so a rounded id can only mean the other one."""
    await tracker.on_receipts([Accepted(MESSAGE, NEIGHBOUR)])
    clock.now += 100
    await tracker.on_receipts([Accepted(MESSAGE, ID)])
    await tracker.on_status([callback(ROUNDED, Status.DELIVERED)])
    assert (await tracker.delivery(ID)).status is Status.ACCEPTED
    assert await tracker.prune(50) == 1
    assert (await tracker.delivery(ID)).status is Status.DELIVERED


def test_two_event_loops() -> None:
    """A tracker and a store in memory serve a loop after the last one was closed, and never two at a time."""
    tracker, store = DeliveryTracker(), MemoryStore()

    async def use() -> None:
        await tracker.on_status(history("1"))
        await store.get(["1"])

    asyncio.run(use())
    asyncio.run(use())
    loop = asyncio.new_event_loop()
    loop.run_until_complete(use())
    for call in (tracker.on_status([]), tracker.delivery("1"), tracker.wait("1"), store.get(["1"]), store.prune(1)):
        with pytest.raises(ConfigurationError, match="another event loop"):
            asyncio.run(call)  # type: ignore[arg-type]
    loop.close()


async def test_pruning(tracker: DeliveryTracker, clock: Clock) -> None:
    """Messages without news for long are forgotten. News keeps a message."""
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


async def test_odd_text(tracker: DeliveryTracker) -> None:
    """Ids and statuses that cannot be kept as text do not cost the events of others."""
    odd = StatusCallback("\ud800", NOON, "PONDERED \udfff", 10**30)
    await asyncio.gather(tracker.on_status([odd, *history("1")]), tracker.on_status(history("2")))
    for each in "12":
        assert (await tracker.delivery(each)).status is Status.DELIVERED


@pytest.mark.parametrize("turns", range(8))
async def test_news_of_a_cancelled_caller(tracker: DeliveryTracker, turns: int) -> None:
    """News of a caller that is cancelled in the middle wakes the waiters all the same."""
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


async def test_odd_news(tracker: DeliveryTracker) -> None:
    """Dates at the ends of the calendar are kept. A status given as a str is the same as the status itself."""
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
