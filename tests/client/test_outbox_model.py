"""Outbox in any interleaving: whatever happens in whatever order, each message has exactly one outcome."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outbox_lab import Lab, number_of

from devino_async import (
    Accepted,
    ClientClosed,
    NotSent,
    OutboxFull,
    OutcomeUnknown,
    Receipt,
    RequestNotSent,
)

actions = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 12)),
    st.tuples(st.just("cancel"), st.integers(0, 200)),
    st.tuples(st.just("turn"), st.integers(1, 6)),
    st.tuples(st.just("end well"), st.integers(0, 3)),
    st.tuples(st.just("end unsent"), st.integers(0, 3)),
    st.tuples(st.just("end unknown"), st.integers(0, 3)),
    st.tuples(st.just("wait"), st.integers(0, 3)),
    st.tuples(st.just("flush"), st.just(0)),
    st.tuples(st.just("close"), st.just(0)),
    st.tuples(st.just("give up"), st.just(0)),
)
ENDS = {
    "end well": lambda: None,
    "end unsent": lambda: RequestNotSent("no", operation="send"),
    "end unknown": lambda: OutcomeUnknown("lost", operation="send"),
}


class Drive:
    """Does what a run of steps says, then lets everything end, and judges."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.tasks: list[asyncio.Task[Receipt]] = []
        self.flushes: list[asyncio.Task[None]] = []
        self.had_room: set[int] = set()
        self.turned_away: set[int] = set()

    async def step(self, action: str, number: int) -> None:
        lab = self.lab
        if action == "turn":
            await lab.turn(number)
        elif action in ENDS:
            lab.service.end(number, ENDS[action]())
        else:
            getattr(self, action.replace(" ", "_"))(number)

    def send(self, number: int) -> None:
        self.tasks += [self.lab.send(len(self.tasks) + each) for each in range(number)]

    def cancel(self, number: int) -> None:
        if self.tasks:
            self.tasks[number % len(self.tasks)].cancel()

    def wait(self, number: int) -> None:
        self.lab.wait(number)

    def flush(self, _: int) -> None:
        async def flush() -> None:
            waiting = [self.tasks[number] for number in self.lab.inside() | self.lab.at_the_door()]
            await self.lab.outbox.flush()
            assert all(task.done() for task in waiting), "flush returned although a message waits"

        self.flushes.append(asyncio.create_task(flush()))

    def close(self, _: int = 0) -> None:
        self.had_room |= self.lab.inside()
        self.turned_away |= self.lab.at_the_door()
        self.lab.outbox.close()
        assert not self.lab.at_the_door()

    def give_up(self, _: int) -> None:
        self.close()
        self.lab.outbox.give_up("closed")

    async def finish(self) -> None:
        await self.lab.turn()
        self.close()
        everybody = [*self.tasks, *self.flushes, asyncio.create_task(self.lab.outbox.drain())]
        for _ in range(500):
            if all(task.done() for task in everybody):
                await asyncio.gather(*self.flushes)
                return
            self.lab.service.end()
            await self.lab.turn(2)
        pytest.fail("somebody waits for ever")

    def judge(self) -> None:
        posted = [number for call in self.lab.service.calls for number in self.lab.service.numbers(call)]
        assert posted == sorted(set(posted)), "posted twice, or out of order"
        assert self.lab.outbox._buffer.has_room(10**9), "something keeps room in an empty outbox"
        unclaimed: dict[int, list[Receipt]] = {}
        for receipt in self.lab.unclaimed:
            unclaimed.setdefault(number_of(receipt.message.to), []).append(receipt)
        for number, task in enumerate(self.tasks):
            mine = unclaimed.get(number, [])
            if task.cancelled():
                # A task that is cancelled before its first step never gave us its message.
                assert len(mine) == (number in self.lab.begun)
            elif (error := task.exception()) is not None:
                assert isinstance(error, ClientClosed | OutboxFull)
                assert number not in self.had_room
                assert mine == []
                assert number not in posted
            else:
                mine = [*mine, task.result()]
                assert len(mine) == 1
                assert number not in self.turned_away
            for receipt in mine:
                assert number_of(receipt.message.to) == number
                assert type(receipt) is NotSent or number in posted
                assert type(receipt) is not Accepted or receipt.message_id == str(number)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(actions, min_size=4, max_size=50),
    st.integers(1, 3),
    st.integers(1, 9),
    # Messages take 51 to 100 bytes, so a small one might overtake a large one.
    st.sampled_from([150, 200, 400, 10**6]),
    st.sampled_from([0.0, 1.5]),
    st.sampled_from(["wait", "refuse"]),
)
async def test_any_interleaving(
    steps: list[tuple[str, int]],
    max_in_flight: int,
    capacity: int,
    capacity_bytes: int,
    linger: float,
    when_full: str,
) -> None:
    """Send, cancel, flush, close and faults in any order: one outcome a message, at most one POST, order kept."""
    bounds = {"capacity": capacity, "capacity_bytes": capacity_bytes}
    lab = Lab(max_in_flight=max_in_flight, linger=linger, when_full=when_full, batch_bytes=400, **bounds)
    drive = Drive(lab)
    for action, number in steps:
        await drive.step(action, number)
        assert len(lab.service.in_flight) <= max_in_flight
        assert len(lab.inside()) <= capacity
        assert not lab.at_the_door() or min(lab.at_the_door()) > max(lab.inside()), "overtaken at the door"
    await drive.finish()
    drive.judge()
