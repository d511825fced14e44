"""Pace: the rates and the hold, on a clock that only moves when a task sleeps."""

import asyncio
import heapq
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from devino_async.exchange import Call, Lane
from devino_async.transport.pace import Pace

BULK = Call(operation="send", method="POST", path="/", repeatable=False, messages=10)
URGENT = evolve(BULK, urgent=True, messages=1)
LOOK_UP = Call(operation="account", method="GET", path="/")


class Clock:
    """Time that stands still while any task can run, and then goes on to the next waking."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self.slept = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept += 1
        self._count += 1
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleeping, (self.now + seconds, self._count, waking))
        await waking

    async def run(self) -> None:
        """Run until no task sleeps any more."""
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            while self._sleeping and self._sleeping[0][2].cancelled():
                heapq.heappop(self._sleeping)
            if not self._sleeping:
                return
            at, _, waking = heapq.heappop(self._sleeping)
            self.now = max(self.now, at)
            waking.set_result(None)


def pace(clock: Clock, requests: float | None = None, messages: float | None = None) -> Pace:
    return Pace(requests, messages, clock=clock, sleep=clock.sleep)


calls = st.tuples(st.floats(0, 3), st.integers(1, 32_000), st.sampled_from(["bulk", "urgent", "look-up"]))


def made(weight: int, kind: str) -> Call:
    return LOOK_UP if kind == "look-up" else evolve(BULK, urgent=kind == "urgent", messages=weight)


@given(st.floats(0.5, 1e5), st.none() | st.floats(0.5, 50), st.lists(calls, min_size=1, max_size=40))
async def test_no_second_sees_more_than_the_rate_and_one_batch(
    messages: float, requests: float | None, asked: list[tuple[float, int, str]]
) -> None:
    """In all lanes together, what begins within any second weighs at most the rate plus one batch."""
    clock = Clock()
    paced = pace(clock, requests, messages)
    begun: list[tuple[float, Call, int]] = []

    async def ask(number: int, after: float, call: Call) -> None:
        await clock.sleep(after)
        assert await paced.turn(call)
        begun.append((clock.now, call, number))

    moment, tasks = 0.0, []
    for number, (pause, weight, kind) in enumerate(asked):
        moment += pause
        tasks.append(asyncio.create_task(ask(number, moment, made(weight, kind))))
    await clock.run()
    await asyncio.gather(*tasks)
    assert len(begun) == len(asked)
    heaviest = max(call.messages for _, call, _ in begun)
    for start, _, _ in begun:
        within = [call for at, call, _ in begun if start <= at < start + 1 - 1e-9]
        assert sum(call.messages for call in within) <= (messages + heaviest) * (1 + 1e-6)
        assert requests is None or len(within) <= requests + 1 + 1e-6
    for lane in Lane:
        order = [number for _, call, number in begun if call.lane is lane]
        assert order == sorted(order), "not first come, first served"


@given(st.lists(st.integers(1, 500), min_size=2, max_size=30), st.data())
async def test_a_waiter_that_is_cancelled_costs_nothing(weights: list[int], data: st.DataObject) -> None:
    """A call that is cancelled while it waits has booked nothing: the others begin as if it had never been there."""

    async def begun_by(who: list[int], leaving: set[int]) -> list[float]:
        clock = Clock()
        paced = pace(clock, messages=100)
        begun: dict[int, float] = {}

        async def ask(number: int) -> None:
            assert await paced.turn(evolve(BULK, messages=weights[number]))
            begun[number] = clock.now

        tasks = {number: asyncio.create_task(ask(number)) for number in who}
        await asyncio.sleep(0)
        for number in leaving:
            tasks[number].cancel()
        await clock.run()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        return [begun[number] for number in who if number not in leaving]

    everyone = list(range(len(weights)))
    leaving = set(data.draw(st.lists(st.sampled_from(everyone[1:]), unique=True)))
    staying = [number for number in everyone if number not in leaving]
    assert await begun_by(everyone, leaving) == await begun_by(staying, set())


async def test_urgent_calls_do_not_pay_for_a_campaign() -> None:
    """A one-time code begins at once though a batch has used up many seconds, while the rate has room for it."""
    clock = Clock()
    paced = pace(clock, messages=100)
    assert await paced.turn(evolve(BULK, messages=5_000))
    waiting = asyncio.create_task(paced.turn(BULK))
    for _ in range(100):
        assert await paced.turn(URGENT)
    assert clock.now == 0
    late = asyncio.create_task(paced.turn(URGENT))
    await clock.run()
    assert await late
    assert await waiting
    assert clock.now == pytest.approx(51.01), "what was urgent is paid for by the campaign"


async def test_look_ups_do_not_wait_for_messages() -> None:
    """A look-up carries no message, so that only the rate of requests holds it up."""
    clock = Clock()
    paced = pace(clock, requests=10, messages=1)
    begun: list[tuple[str, float]] = []

    async def ask(call: Call) -> None:
        assert await paced.turn(call)
        begun.append((call.operation, clock.now))

    tasks = [asyncio.create_task(ask(call)) for call in [BULK, BULK, LOOK_UP, LOOK_UP]]
    await clock.run()
    await asyncio.gather(*tasks)
    expected = [("send", 0), ("account", 0.1), ("account", 0.2), ("send", 10)]
    assert begun == [(operation, pytest.approx(at)) for operation, at in expected]


async def test_segments_are_paced_beside_messages() -> None:
    """A call begins when the rate of segments allows it too. Single sends pay for theirs as batches do."""
    clock = Clock()
    paced = Pace(None, 10, 20, clock=clock, sleep=clock.sleep)
    begun: list[float] = []
    for call in (evolve(BULK, segments=60), evolve(URGENT, segments=255), BULK, LOOK_UP):
        turn = asyncio.create_task(paced.turn(call))
        await clock.run()
        assert await turn
        begun.append(clock.now)
    assert begun == [0, 1, pytest.approx(1.1), pytest.approx(1.1)]


async def test_a_turn_ends_with_the_time_for_it() -> None:
    """A call that may begin only for a while does not wait longer than that, and then nothing is booked."""
    clock = Clock()
    paced = pace(clock, messages=1)
    assert await paced.turn(BULK)
    waiting = [asyncio.create_task(paced.turn(BULK, lambda: max(0.0, 4.0 - clock.now))) for _ in range(3)]
    await clock.run()
    assert await asyncio.gather(*waiting) == [False] * 3
    assert clock.now == 4
    last = asyncio.create_task(paced.turn(BULK))
    await clock.run()
    assert await last
    assert clock.now == 10


async def test_nothing_is_polled() -> None:
    """Each waiter sleeps a few times at most, however long it waits."""
    clock = Clock()
    paced = pace(clock, messages=1)
    tasks = [asyncio.create_task(paced.turn(evolve(BULK, messages=1_000))) for _ in range(10)]
    await clock.run()
    assert all(await asyncio.gather(*tasks))
    assert clock.now == 9_000
    assert clock.slept <= 10


@pytest.mark.parametrize("rates", [{}, {"messages": 1.0}])
async def test_a_hold_books_nothing(rates: Any) -> None:
    """While a hold lasts, no turn is given and none is paid for."""
    clock = Clock()
    paced = pace(clock, **rates)
    paced.hold(BULK, 5)
    assert not await paced.turn(BULK)
    clock.now = 5.0
    assert await paced.turn(BULK)
    assert clock.slept == 0


async def test_a_hold_ends_the_waiting() -> None:
    """A call that waits for the pace when a hold comes does not begin while it lasts."""
    clock = Clock()
    paced = pace(clock, messages=1)
    assert await paced.turn(BULK)
    waiting = asyncio.create_task(paced.turn(BULK))
    await asyncio.sleep(0)
    paced.hold(BULK, 60)
    await clock.run()
    assert not await waiting
