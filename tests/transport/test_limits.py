"""Limits: permits, pace and the hold after a 429."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as some

from devino_async.errors import ConfigurationError
from devino_async.events import Events
from devino_async.exchange import Answer, Call
from devino_async.transport.limits import Limited, Limits, Pace

SEND = Call(operation="send", method="POST", path="/", repeatable=False, messages=10)
READ = Call(operation="account", method="GET", path="/")


class Counting:
    """A transport that notes how many attempts run at once, until it is let go."""

    def __init__(self) -> None:
        self.now = {True: 0, False: 0}
        self.most = {True: 0, False: 0}
        self.go = asyncio.Event()

    async def exchange(self, call: Call) -> Answer:
        self.now[call.repeatable] += 1
        self.most[call.repeatable] = max(self.most[call.repeatable], self.now[call.repeatable])
        await self.go.wait()
        self.now[call.repeatable] -= 1
        return Answer(status=200, body=b"")


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_in_flight_than_allowed() -> None:
    """At most `in_flight` sends run at once, and as many look-ups beside them."""
    inner = Counting()
    limited = Limited(inner, Limits(in_flight=3), clock=lambda: 0.0, sleep=asyncio.sleep, events=Events())
    tasks = [asyncio.create_task(limited.exchange(call)) for call in [SEND] * 10 + [READ] * 10]
    await turns()
    assert inner.now == {True: 3, False: 3}
    inner.go.set()
    await asyncio.gather(*tasks)
    assert inner.most == {True: 3, False: 3}


async def test_a_cancelled_waiter_gives_its_place_back() -> None:
    """Cancelling a call that waits for a permit, or holds one, never loses a permit."""
    inner = Counting()
    limited = Limited(inner, Limits(in_flight=1), clock=lambda: 0.0, sleep=asyncio.sleep, events=Events())
    tasks = [asyncio.create_task(limited.exchange(SEND)) for _ in range(3)]
    await turns()
    tasks[0].cancel()
    tasks[1].cancel()
    inner.go.set()
    assert (await tasks[2]).status == 200
    await asyncio.gather(*tasks[:2], return_exceptions=True)


@given(
    per_second=some.floats(0.5, 1e5),
    asked=some.lists(some.tuples(some.floats(0, 3), some.integers(1, 32_000)), min_size=1, max_size=60),
)
def test_no_second_sees_more_than_the_rate_and_one_batch(per_second: float, asked: list[tuple[float, int]]) -> None:
    """Whoever asks when, what begins within any second weighs at most the rate plus one batch."""
    pace, now = Pace(per_second), 0.0
    begun: list[tuple[float, int]] = []
    for pause, weight in asked:
        now += pause
        begun.append((pace.book(weight, now), weight))
    heaviest = max(weight for _, weight in begun)
    assert [at for at, _ in begun] == sorted(at for at, _ in begun), "not first come, first served"
    for start, _ in begun:
        within = sum(weight for at, weight in begun if start <= at < start + 1)
        assert within <= per_second + heaviest + 1e-6 * heaviest


async def test_requests_and_messages_are_both_paced() -> None:
    """A call begins when both rates allow it."""
    now, slept = 0.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    inner = Counting()
    inner.go.set()
    limits = Limits(requests_per_second=10, messages_per_second=5)
    limited = Limited(inner, limits, clock=lambda: now, sleep=sleep, events=Events())
    for _ in range(3):
        await limited.exchange(SEND)
    assert now == pytest.approx(4.0)
    await limited.exchange(READ)
    assert now == pytest.approx(4.0), "a look-up carries no messages"


@pytest.mark.parametrize(
    "wrong", [{"in_flight": 0}, {"batch_bytes": 0}, {"requests_per_second": 0}, {"messages_per_second": float("nan")}]
)
def test_options_that_cannot_work(wrong: dict[str, float]) -> None:
    """Options that cannot work are refused when they are made, by name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type]
