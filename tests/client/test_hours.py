"""Streams with a schedule, in virtual time: the loop begins at noon in UTC."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import virtual_time
from hypothesis import example, given, settings
from hypothesis import strategies as st
from storm_lab import NOON, OPTIONS, Lab, Scripted, between, messages, refused, too_many

from devino_async import (
    Accepted,
    ConfigurationError,
    DevinoClient,
    Message,
    NotSent,
    Receipt,
    Rejected,
    RequestNotSent,
    RetryPolicy,
    ServerFailed,
    Unauthorized,
    Unconfirmed,
    WindowClosed,
)
from devino_async.campaigns import Schedule
from devino_async.exchange import Call

HOUR = 3_600.0
DAY = 24 * HOUR


def well() -> Any:
    return between(0, 0, refused)


def daily(begins: float, ends: float, **options: Any) -> Schedule:
    """A window that begins and ends so many hours after noon in UTC."""
    first, last = ((NOON + timedelta(hours=each)).time() for each in (begins, ends))
    return Schedule(window=(first, last), time_zone=UTC, **options)


def until(hours: float) -> Schedule:
    return Schedule(deadline=NOON + timedelta(hours=hours))


class Counted:
    """Messages that know how many of them were read."""

    def __init__(self, count: int) -> None:
        self.read = 0
        self._count = count

    def __iter__(self) -> Iterator[Message]:
        for each in messages(self._count):
            self.read += 1
            yield each


def in_hours(schedule: Schedule, seconds: float) -> bool:
    now = NOON + timedelta(seconds=seconds)
    return schedule.opens_at(now) == now


def reasons(receipts: list[Receipt]) -> set[str]:
    return {each.error.problem for each in receipts if isinstance(each, NotSent)}


def test_out_of_hours_nothing_is_held() -> None:
    """Before the window opens nothing is sent, no input is read and no permit is held. Then everything is sent."""

    async def run() -> None:
        lab = Lab(service := well(), in_flight=1)
        source = Counted(10)
        stream = lab.dispatch.stream(source, 5, OPTIONS, schedule=daily(2, 3))
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(HOUR)
        assert (source.read, service.sends, service.probes) == (0, [], 0)
        assert isinstance(await lab.send(next(messages(1))), Accepted), "a single send is not bound by the schedule"
        assert virtual_time.now() < HOUR + 1
        receipts = [await waiting] + [each async for each in stream]
        assert [type(each) for each in receipts] == [Accepted] * 10
        begun = [at for at, _ in service.sends[1:]]
        assert begun == [2 * HOUR, pytest.approx(2 * HOUR + 0.05)]
        [event] = [each for each in lab.told if isinstance(each, WindowClosed)]
        assert event.opens_at == NOON + timedelta(hours=2)

    virtual_time.run(run())


def test_a_window_that_closes() -> None:
    """What has begun is finished, what has not waits for the next day, and the campaign ends whole."""
    # 10 messages a second, so the rest of this hour has 36,000 of them.
    lab = Lab(service := well(), messages_per_second=10)
    schedule = daily(-1, 1)
    kinds, error = virtual_time.run(lab.stream(60_000, 500, schedule))
    assert (kinds, error) == ({Accepted: 60_000}, None)
    assert all(in_hours(schedule, at) for at, _ in service.sends)
    assert {int((at + HOUR) // DAY) for at, _ in service.sends} == {0, 1}
    assert [type(each) for each in lab.told if isinstance(each, WindowClosed)] == [WindowClosed]


def test_a_window_over_midnight() -> None:
    """From 22:00 to 06:00 a stream goes on over midnight without a break."""
    lab = Lab(service := well(), messages_per_second=1)
    kinds, error = virtual_time.run(lab.stream(9 * 3_600, 100, daily(10, 18)))
    assert (kinds, error) == ({Accepted: 9 * 3_600}, None)
    begun = [at for at, _ in service.sends]
    assert begun[0] == 10 * HOUR
    pauses = [later - earlier for earlier, later in itertools.pairwise(begun)]
    [night] = [pause for pause in pauses if pause > 101]
    assert night == pytest.approx(16 * HOUR, abs=101)


def test_the_hour_that_comes_twice() -> None:
    """In the night when the clocks go back, a window within the double hour opens twice, and nothing leaves between."""
    lab = Lab(service := well(), messages_per_second=1)
    begin = datetime(2026, 10, 25, tzinfo=UTC)
    lab.today = lambda: begin + timedelta(seconds=virtual_time.now())  # type: ignore[method-assign]
    lab.batches._today = lab.today
    schedule = Schedule(window=(time(2, 15), time(2, 45)), time_zone="Europe/Berlin")
    kinds, error = virtual_time.run(lab.stream(3_000, 60, schedule))
    assert (kinds, error) == ({Accepted: 3_000}, None)
    shown = {int(at // 900) for at, _ in service.sends}
    assert shown == {1, 2, 5, 6}, "00:15 to 00:45 and 01:15 to 01:45 in UTC"


def test_a_deadline() -> None:
    """After the deadline every message of the rest is NotSent and says so. It comes at once, without an error."""

    async def run() -> None:
        lab = Lab(service := well(), messages_per_second=10)
        receipts = [each async for each in lab.dispatch.stream(messages(50_000), 3_500, OPTIONS, schedule=until(0.5))]
        # Every batch pays for 350 seconds, and one of them waits for its turn when the deadline comes.
        assert HOUR / 2 <= virtual_time.now() < HOUR / 2 + 1
        assert [each.message for each in receipts] == list(messages(50_000))
        assert all(at < HOUR / 2 for at, _ in service.sends)
        sent = sum(count for _, count in service.sends)
        assert sent == 6 * 3_500
        assert [type(each) for each in receipts] == [Accepted] * sent + [NotSent] * (50_000 - sent)
        assert reasons(receipts) == {"the deadline of the schedule, 2026-11-28T12:30+00:00, has passed"}
        assert all(type(each.error) is RequestNotSent for each in receipts[sent:] if isinstance(each, NotSent))

    virtual_time.run(run())


def test_a_window_that_does_not_open_before_the_deadline() -> None:
    """If the window stays closed until the deadline, the stream does not wait for that, and says why."""

    async def run() -> None:
        lab = Lab(service := well())
        schedule = daily(5, 6, deadline=NOON + timedelta(hours=5))
        receipts = [each async for each in lab.dispatch.stream(messages(10), 5, OPTIONS, schedule=schedule)]
        assert virtual_time.now() == 0
        assert service.sends == []
        assert reasons(receipts) == {
            "the window of the schedule does not open before its deadline, 2026-11-28T17:00+00:00"
        }
        assert len(receipts) == 10

    virtual_time.run(run())


async def _waiting(lab: Lab, source: Any, schedule: Schedule, receipts: list[Receipt]) -> "asyncio.Task[None]":
    """A stream that has sent what it could, and waits for its window."""

    async def consume() -> None:
        stream = lab.dispatch.stream(source, 60, OPTIONS, schedule=schedule)
        try:
            async for each in stream:
                receipts.append(each)  # noqa: PERF401 - what came before an error counts
        finally:
            await stream.aclose()

    task = asyncio.create_task(consume())
    await asyncio.sleep(2 * HOUR)
    return task


def test_closing_ends_the_wait() -> None:
    """Closing the client ends the wait at once. What was read and did not begin is NotSent."""

    async def run() -> None:
        lab, receipts = Lab(well(), messages_per_second=1), list[Receipt]()
        source = Counted(100_000)
        task = await _waiting(lab, source, daily(-1, 1), receipts)
        sent = len(receipts)
        assert 3_600 <= sent <= 3_720
        lab.dispatch.close()
        lab.breaker.close()
        assert await lab.owner.drain(30) == 0
        await asyncio.wait({task})
        assert virtual_time.now() == 2 * HOUR
        assert len(receipts) == source.read
        assert {type(each) for each in receipts[sent:]} == {NotSent}

    virtual_time.run(run())


def test_closing_without_grace() -> None:
    """Closing with no time to spare cancels what waits. Its messages are NotSent all the same."""

    async def run() -> None:
        lab, receipts = Lab(service := well(), messages_per_second=1), list[Receipt]()
        source = Counted(100_000)
        task = await _waiting(lab, source, daily(-1, 1), receipts)
        sent = sum(count for _, count in service.sends)
        for each in list(lab.owner._tasks):
            each.cancel()
        lab.dispatch.close()
        lab.breaker.close()
        await asyncio.wait({task})
        assert len(receipts) == source.read
        assert [type(each) for each in receipts] == [Accepted] * sent + [NotSent] * (source.read - sent)

    virtual_time.run(run())


def test_leaving_ends_the_wait() -> None:
    """A consumer that is cancelled ends the wait at once, and what was read goes to `on_unclaimed` as NotSent."""

    async def run() -> None:
        lab, receipts = Lab(well(), messages_per_second=1), list[Receipt]()
        source = Counted(100_000)
        task = await _waiting(lab, source, daily(-1, 1), receipts)
        task.cancel()
        await asyncio.wait({task})
        await lab.owner.drain(30)
        assert virtual_time.now() == 2 * HOUR
        assert len(receipts) + len(lab.unclaimed) == source.read
        assert {type(each) for each in lab.unclaimed} == {NotSent}

    virtual_time.run(run())


def test_a_fatal_answer_ends_the_wait() -> None:
    """If the last batch of the evening is refused for good, those that wait for the morning are NotSent at once."""

    def unauthorized(call: Call) -> Unauthorized:
        return Unauthorized("the key is wrong", operation=call.operation, status=401)

    async def run() -> None:
        lab = Lab(between(HOUR - 59, HOUR, unauthorized), messages_per_second=1)
        lab.service.latency = 30.0
        with pytest.raises(Unauthorized):
            async for each in lab.dispatch.stream(messages(100_000), 60, OPTIONS, schedule=daily(-1, 1)):
                assert type(each) in {Accepted, NotSent}
        assert virtual_time.now() < HOUR + 1

    virtual_time.run(run())


@pytest.mark.parametrize("fault", [refused, too_many])
@pytest.mark.parametrize("others", [False, True])
def test_trouble_at_night_is_not_counted(fault: Any, others: bool) -> None:
    """Trouble that begins before the window closes and lasts all night ends no stream, even if others keep it known."""

    async def run() -> None:
        # It fails from 12:55 until half a minute after the window has opened again.
        lab = Lab(service := between(HOUR - 300, DAY - HOUR + 30, fault), messages_per_second=10)
        knocking = asyncio.create_task(_knock(lab)) if others else None
        kinds, error = await lab.stream(50_000, 100, daily(-1, 1))
        assert (kinds, error) == ({Accepted: 50_000}, None)
        if knocking is None:
            assert all(in_hours(daily(-1, 1), at) for at, _ in service.sends)
        else:
            knocking.cancel()
            await asyncio.wait({knocking})

    virtual_time.run(run())


def test_a_reader_that_waits_for_the_lane() -> None:
    """If the lane is in trouble when the window closes, the input waits for the morning. No probe is made for it."""

    async def slow() -> AsyncIterator[Message]:
        for each in messages(120):
            yield each
            await asyncio.sleep(60)

    async def run() -> None:
        lab = Lab(service := between(HOUR - 330, DAY - HOUR - 5, refused))
        receipts = [each async for each in lab.dispatch.stream(slow(), 1, OPTIONS, schedule=daily(-1, 1))]
        assert [type(each) for each in receipts] == [Accepted] * 120
        assert service.probes < 50
        assert all(in_hours(daily(-1, 1), at) for at, _ in service.sends)

    virtual_time.run(run())


async def _knock(lab: Lab) -> None:
    while True:
        await lab.send(next(messages(1)))
        await asyncio.sleep(10)


def test_trouble_within_the_hours_still_ends_a_stream() -> None:
    """Trouble for longer than `stream_deadline` within the window ends a stream as it does without a schedule."""
    lab = Lab(between(600, DAY, refused), retry=RetryPolicy(stream_deadline=300.0), messages_per_second=10)
    kinds, error = virtual_time.run(lab.stream(50_000, 100, daily(-1, 1)))
    assert type(error).__name__ == "DeadlineExceeded"
    assert kinds[Accepted] + kinds[NotSent] == kinds.total()
    assert kinds[NotSent] <= 600


def test_a_hold_beyond_the_deadline() -> None:
    """If a 429 holds the lane until after the deadline, the rest is NotSent, and the stream ends without an error."""

    def held(call: Call, now: float) -> Any:
        return too_many(call, retry_after=600.0) if now >= HOUR / 2 - 60 else None

    lab = Lab(service := Scripted(held), messages_per_second=1)
    kinds, error = virtual_time.run(lab.stream(5_000, 10, until(0.5)))
    assert error is None
    assert kinds.total() == 5_000
    assert kinds[NotSent] >= 5_000 - 1_800
    assert set(kinds) == {Accepted, NotSent}
    assert all(at < HOUR / 2 for at, _ in service.sends)


def test_a_deadline_in_the_midst_of_trouble() -> None:
    """If the lane is in trouble when the deadline comes, the stream ends then, without an error."""

    async def run() -> None:
        lab = Lab(between(HOUR / 2 - 60, DAY, refused), messages_per_second=10)
        kinds, error = await lab.stream(50_000, 100, until(0.5))
        assert error is None
        assert kinds.total() == 50_000
        assert kinds[NotSent] >= 50_000 - 18_000
        assert set(kinds) == {Accepted, NotSent}
        assert HOUR / 2 <= virtual_time.now() < HOUR / 2 + 1

    virtual_time.run(run())


def test_what_may_have_been_sent_is_not_sent_in_the_morning() -> None:
    """With `retry_on_503` a batch that got 503 when the window closed stays in doubt. It is not sent in the morning."""

    def unavailable(call: Call) -> ServerFailed:
        return ServerFailed("unavailable", operation=call.operation, status=503)

    # A batch begins every 10 s. The answer to the last one comes half a second before the window closes.
    service = between(HOUR - 1, HOUR, unavailable, probes_fail=False)
    service.latency = 9.5
    lab = Lab(service, retry=RetryPolicy(retry_on_503=True), messages_per_second=10)
    kinds, error = virtual_time.run(lab.stream(40_000, 100, daily(-1, 1)))
    assert (kinds, error) == ({Accepted: 39_900, Unconfirmed: 100}, None)
    assert sum(count for _, count in service.sends) == 40_000
    assert all(in_hours(daily(-1, 1), at) for at, _ in service.sends)


def test_scheduled_times_that_pass_at_night() -> None:
    """A message whose scheduled time passes while it waits is Rejected in the morning, and costs no request."""

    def some() -> Iterator[Message]:
        for number in range(8_000):
            late = NOON + timedelta(hours=5) if number % 2 else None
            yield Message(sender="MyCompany", to=f"7900{number:07}", text="x", scheduled_time=late)

    async def run() -> None:
        lab = Lab(service := well(), messages_per_second=1)
        receipts = [each async for each in lab.dispatch.stream(some(), 100, OPTIONS, schedule=daily(-1, 1))]
        assert [each.message for each in receipts] == list(some())
        evening = [number for number, each in enumerate(receipts) if isinstance(each, Accepted) and number % 2]
        assert evening
        assert max(evening) < 3_800
        assert all(isinstance(each, Rejected) for each in receipts[3_801::2])
        assert all(in_hours(daily(-1, 1), at) for at, _ in service.sends)

    virtual_time.run(run())


def test_a_clock_that_jumps() -> None:
    """A machine that was suspended, or whose clock was set, sends within a minute of the opening by its clock."""

    async def run() -> None:
        lab = Lab(service := well())
        jump = 0.0
        lab.batches._today = lambda: NOON + timedelta(seconds=virtual_time.now() + jump)
        stream = lab.dispatch.stream(messages(5), 5, OPTIONS, schedule=daily(8, 9))
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(600)
        jump = 8 * HOUR
        await waiting
        assert service.sends[0][0] <= 660
        await stream.aclose()

    virtual_time.run(run())


@settings(max_examples=60, deadline=None)
@example((0, -1), None, 3_601, 3_600, 1, [(0.0, 0.125)])
@given(
    st.tuples(st.integers(-12, 11), st.integers(-12, 11)).filter(lambda each: each[0] != each[1]),
    st.none() | st.floats(-1, 60),
    st.integers(1, 20_000),
    st.integers(100, 5_000),
    st.sampled_from([1, 10, 1_000]),
    st.lists(st.tuples(st.floats(0, 40), st.floats(0, 0.2)), max_size=3),
)
def test_nothing_leaves_out_of_hours(
    window: tuple[int, int], deadline: float | None, count: int, size: int, rate: int, outages: Any
) -> None:
    """Whatever the window, deadline, rate and outages: nothing begins out of hours, and each message has a receipt."""
    moment = None if deadline is None else NOON + timedelta(hours=deadline)
    schedule = daily(*window, deadline=moment)

    def fault(call: Call, now: float) -> Any:
        return refused(call) if any(a * HOUR <= now < (a + length) * HOUR for a, length in outages) else None

    # Three outages in a row may take 36 minutes. A batch of 5,000 that ends one waits up to 84 minutes for its pace,
    # which counts as trouble for the batches after it.
    service = Scripted(fault, probes_fail=True)
    lab = Lab(service, retry=RetryPolicy(stream_deadline=4 * HOUR), messages_per_second=rate)

    async def run() -> list[Receipt]:
        return [each async for each in lab.dispatch.stream(messages(count), size, OPTIONS, schedule=schedule)]

    receipts = virtual_time.run(run())
    assert [each.message.to for each in receipts] == [each.to for each in messages(count)]
    assert all(in_hours(schedule, at) for at, _ in service.sends)
    assert {type(each) for each in receipts} <= {Accepted, NotSent}
    if moment is None:
        assert {type(each) for each in receipts} == {Accepted}


@pytest.mark.parametrize("call", ["send_many", "send_all"])
async def test_what_is_no_schedule(call: str) -> None:
    """What is not a Schedule is refused at the call, before anything is read."""
    async with DevinoClient("key", base_url="http://127.0.0.1:1") as devino:
        method: Callable[..., Any] = getattr(devino, call)
        with pytest.raises(ConfigurationError, match="schedule must be Schedule, not tuple"):
            await method(messages(1), schedule=(time(9), time(21)))
