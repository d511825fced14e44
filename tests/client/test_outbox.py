"""Outbox against a scripted transport: whatever happens in whatever order, each message has exactly one outcome."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devino_async import (
    Accepted,
    CallFailed,
    ClientClosed,
    ConfigurationError,
    Limits,
    Message,
    NotSent,
    OutboxFull,
    OutboxOptions,
    OutcomeUnknown,
    Priority,
    Receipt,
    RequestNotSent,
    Unconfirmed,
)
from devino_async.client.dispatch import Dispatch, SendOptions
from devino_async.client.outbox import Outbox, Outboxes
from devino_async.events import Events
from devino_async.exchange import Answer, Call
from devino_async.flow.ownership import Owner
from devino_async.flow.steps import Turns

PLAIN = SendOptions.of(False, False)


def message(number: int, priority: Priority | None = None) -> Message:
    return Message(sender="MyCompany", to=f"7900{number:07}", text="x" * (number % 50 + 1), priority=priority)


def number_of(phone: str) -> int:
    return int(phone[4:])


class Service:
    """A transport whose exchanges end when the test says so, and as it says."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.under_way: list[asyncio.Future[CallFailed | None]] = []

    async def exchange(self, call: Call) -> Answer:
        self.calls.append(call)
        ending: asyncio.Future[CallFailed | None] = asyncio.get_running_loop().create_future()
        self.under_way.append(ending)
        try:
            failure = await ending
        finally:
            self.under_way.remove(ending)
        if failure is not None:
            raise failure
        items = ",".join(f'{{"code":"OK","messageId":"{each}"}}' for each in self.numbers(call))
        return Answer(status=200, body=f'{{"result":[{items}]}}'.encode())

    def end(self, which: int = 0, failure: CallFailed | None = None) -> None:
        if self.under_way:
            ending = self.under_way[which % len(self.under_way)]
            if not ending.done():
                ending.set_result(failure)

    @staticmethod
    def numbers(call: Call) -> list[int]:
        """The messages that it carries."""
        return [number_of(each["to"]) for each in json.loads(b"".join(call.body or ()))["messages"]]


async def sent(outbox: Outbox, message: Message, options: SendOptions) -> Receipt:
    """What a client does for each caller."""
    waiting = outbox.put(message, options) or await outbox.put_later(message, options)
    try:
        return await waiting.outcome
    except asyncio.CancelledError:
        outbox.left(waiting)
        raise


class Lab:
    """An outbox, its service, and time that goes on when it is told to."""

    def __init__(self, *, slots: int = 2, batch_bytes: int = 10**6, **options: Any) -> None:
        self.service = Service()
        self.unclaimed: list[Receipt] = []
        self.owner = Owner()
        self.dispatch = Dispatch(
            self.service, self.owner, Turns(), limits=Limits(), events=Events(), on_unclaimed=self.unclaimed.extend
        )
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.outbox = Outbox(
            self.dispatch,
            self.owner,
            Turns(),
            OutboxOptions(**options),
            slots=slots,
            batch_bytes=batch_bytes,
            urgent=False,
            clock=lambda: self.now,
            later=self.later,
        )

    def later(self, delay: float, call: Callable[[], None]) -> Any:
        timer = (self.now + delay, call)
        self.timers.append(timer)
        return asyncio.get_running_loop().call_later(3_600, call)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        due = [call for at, call in self.timers if at <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for call in due:
            call()

    def send(self, number: int, options: SendOptions = PLAIN) -> "asyncio.Task[Receipt]":
        return asyncio.create_task(sent(self.outbox, message(number), options))

    async def turn(self, times: int = 8) -> None:
        for _ in range(times):
            await asyncio.sleep(0)


async def test_a_lone_send_leaves_at_once() -> None:
    """With nothing under way a message waits for nothing; with a free slot neither."""
    lab = Lab(slots=2)
    first = lab.send(1)
    await lab.turn()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[1]]
    second = lab.send(2)
    await lab.turn()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[1], [2]]
    lab.service.end(), lab.service.end(1)
    assert await first == Accepted(message(1), "1")
    assert await second == Accepted(message(2), "2")


async def test_messages_gather_while_no_slot_is_free() -> None:
    """While all slots are taken messages gather; one that is free takes all of them, and each caller has its own."""
    lab = Lab(slots=1)
    tasks = [lab.send(0)]
    await lab.turn()
    tasks += [lab.send(number) for number in range(1, 101)]
    await lab.turn()
    assert len(lab.service.calls) == 1
    lab.service.end()
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[1]) == list(range(1, 101))
    lab.service.end()
    assert [receipt.message.to for receipt in await asyncio.gather(*tasks)] == [message(n).to for n in range(101)]
    assert len(lab.service.calls) == 2


async def test_options_never_mix() -> None:
    """Messages that ask for different things never share a POST."""
    lab = Lab(slots=9)
    asked = [SendOptions.of(number % 2 == 0, number % 3 == 0) for number in range(12)]
    tasks = [lab.send(number, options) for number, options in enumerate(asked)]
    await lab.turn()
    assert len(lab.service.calls) == 4
    for call in lab.service.calls:
        [query] = {
            "&".join(
                f"{name}=true"
                for name, wanted in (("includeSegmentId", number % 2 == 0), ("shortenUrl", number % 3 == 0))
                if wanted
            )
            for number in lab.service.numbers(call)
        }
        assert call.query == query
    for _ in range(4):
        lab.service.end()
        await lab.turn()
    assert all(type(receipt) is Accepted for receipt in await asyncio.gather(*tasks))


async def test_linger_and_flush() -> None:
    """With a linger a message waits that long for others; flush sends what waits, and returns when that is over."""
    lab = Lab(linger=0.5)
    first = lab.send(1)
    await lab.turn()
    lab.wait(0.4)
    second = lab.send(2)
    await lab.turn()
    assert lab.service.calls == []
    lab.wait(0.1)
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[0]) == [1, 2]
    third = lab.send(3)
    await lab.turn()
    flushing = asyncio.create_task(lab.outbox.flush())
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[1]) == [3]
    assert not flushing.done()
    lab.service.end(1)
    await flushing
    assert third.done()
    lab.service.end()
    await asyncio.gather(first, second)
    await lab.outbox.flush()


async def test_cancelled_while_it_waits() -> None:
    """A caller that is cancelled while its message waits takes it out: it is never sent, and told to be NotSent."""
    lab = Lab(slots=1)
    first = lab.send(0)
    await lab.turn()
    waiting = [lab.send(number) for number in (1, 2, 3)]
    await lab.turn()
    waiting[1].cancel()
    await lab.turn()
    assert waiting[1].cancelled()
    assert [(type(each), each.message) for each in lab.unclaimed] == [(NotSent, message(2))]
    lab.service.end()
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[1]) == [1, 3]
    lab.service.end()
    await asyncio.gather(first, waiting[0], waiting[2])


async def test_cancelled_once_it_is_handed_over() -> None:
    """A caller that is cancelled once its message was handed over leaves at once; the receipt goes to the unclaimed."""
    lab = Lab()
    tasks = [lab.send(1), lab.send(2)]
    await lab.turn()
    tasks[0].cancel()
    await lab.turn()
    assert tasks[0].cancelled()
    assert lab.unclaimed == []
    lab.service.end()
    assert await tasks[1] == Accepted(message(2), "2")
    assert lab.unclaimed == [Accepted(message(1), "1")]


async def test_cancelled_in_the_turn_of_its_receipt() -> None:
    """The receipt of a caller cancelled between its arrival and its reading is reported as unclaimed."""
    lab = Lab()
    task = lab.send(1)
    await lab.turn()
    lab.outbox._pump()
    lab.service.end()
    while not lab.unclaimed and not task.done():
        await asyncio.sleep(0)
        if not lab.service.under_way:
            task.cancel()
    received = [] if task.cancelled() else [task.result()]
    assert [*received, *lab.unclaimed] == [Accepted(message(1), "1")]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(RequestNotSent("no", operation="send"), NotSent), (OutcomeUnknown("lost", operation="send"), Unconfirmed)],
)
async def test_a_failed_exchange(failure: CallFailed, kind: type) -> None:
    """What failed is told to every caller of the batch by its receipt; the next batch goes out all the same."""
    lab = Lab(slots=1)
    tasks = [lab.send(number) for number in range(5)]
    await lab.turn()
    after = lab.send(9)
    await lab.turn()
    lab.service.end(failure=failure)
    receipts = await asyncio.gather(*tasks)
    assert {type(receipt) for receipt in receipts} == {kind}
    await lab.turn()
    lab.service.end()
    assert type(await after) is Accepted


async def test_a_full_buffer_lets_wait() -> None:
    """A full buffer makes callers wait, bounded in memory; whoever is cancelled there is NotSent and costs no room."""
    lab = Lab(slots=1, capacity=3)
    tasks = [lab.send(number) for number in range(9)]
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[0]) == [0, 1, 2]
    assert len(lab.outbox._buffer) == 3
    tasks[7].cancel()
    await lab.turn()
    assert [type(each) for each in lab.unclaimed] == [NotSent]
    while not all(task.done() for task in tasks):
        lab.service.end()
        await lab.turn()
    assert [number for call in lab.service.calls for number in lab.service.numbers(call)] == [0, 1, 2, 3, 4, 5, 6, 8]


async def test_a_full_buffer_refuses() -> None:
    """With when_full="refuse" a full buffer is told at once, and nothing is sent for that call."""
    lab = Lab(slots=1, capacity=1, when_full="refuse")
    first = lab.send(0)
    await lab.turn()
    waiting, refused = lab.send(1), lab.send(2)
    await lab.turn()
    with pytest.raises(OutboxFull, match="OutboxOptions"):
        await refused
    lab.service.end()
    await lab.turn()
    lab.service.end()
    await asyncio.gather(first, waiting)
    assert len(lab.service.calls) == 2


async def test_nobody_passes_one_who_was_let_in() -> None:
    """When room is made for one who waits, whoever comes before that one's next turn goes behind it."""
    lab = Lab(slots=1, capacity=3)
    tasks = [lab.send(number) for number in range(4)]
    await lab.turn(1)
    tasks.append(lab.send(4))
    await lab.turn()
    while not all(task.done() for task in tasks):
        lab.service.end()
        await lab.turn()
    assert [number for call in lab.service.calls for number in lab.service.numbers(call)] == [0, 1, 2, 3, 4]


async def test_nobody_lingers_while_others_wait_for_room() -> None:
    """A full outbox does not linger: what is in it leaves, so that those who wait come in."""
    lab = Lab(slots=4, capacity=3, linger=100.0)
    tasks = [lab.send(number) for number in range(8)]
    await lab.turn()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[0, 1, 2], [3, 4, 5]]
    lab.wait(100.0)
    await lab.turn()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    for number in range(3):
        lab.service.end(number)
    await asyncio.gather(*tasks)


async def test_flush_is_for_those_who_wait_for_room_too() -> None:
    """Whoever waits for room at a flush does not linger either, and flush returns when they have their receipts."""
    lab = Lab(slots=1, capacity=3, linger=100.0)
    tasks = [lab.send(number) for number in range(8)]
    await lab.turn(1)
    flushing = asyncio.create_task(lab.outbox.flush())
    for number in range(3):
        await lab.turn()
        assert not flushing.done()
        lab.service.end(number)
    await lab.turn()
    assert flushing.done()
    assert all(task.done() for task in tasks)


async def test_what_breaks_a_rule_never_enters() -> None:
    """What is no message is told to its caller alone."""
    lab = Lab()
    with pytest.raises(ValueError, match="must be Message"):
        await sent(lab.outbox, "Hello", PLAIN)  # type: ignore[arg-type]
    assert len(lab.outbox._buffer) == 0


async def test_refusing_ends_the_linger() -> None:
    """Where a full buffer refuses, those who fill it leave although their linger is not over, and there is room."""
    lab = Lab(capacity=2, when_full="refuse", linger=3_600.0)
    tasks = [lab.send(number) for number in range(3)]
    await lab.turn()
    with pytest.raises(OutboxFull):
        await tasks.pop()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[0, 1]]
    tasks.append(lab.send(3))
    await lab.turn()
    assert len(lab.service.calls) == 1
    lab.outbox.close()
    await lab.turn()
    lab.service.end(), lab.service.end(1)
    assert {type(receipt) for receipt in await asyncio.gather(*tasks)} == {Accepted}


async def test_the_pump_fails() -> None:
    """Should the pump itself fail, everybody who waits is told, and nothing was sent."""
    lab = Lab()

    def broken(now: float) -> Any:
        raise ZeroDivisionError

    lab.outbox._buffer.take = broken  # type: ignore[method-assign]
    receipts = await asyncio.gather(lab.send(1), lab.send(2))
    assert [type(receipt) for receipt in receipts] == [NotSent, NotSent]
    assert all("ZeroDivisionError" in str(receipt.error) for receipt in receipts if isinstance(receipt, NotSent))


async def test_the_pump_fails_with_a_batch_in_hand() -> None:
    """Should no exchange begin for a batch that left the buffer, its callers are told too, and its place is free."""
    lab = Lab(slots=1)
    start = lab.owner.start

    def broken(work: Any) -> Any:
        lab.owner.start = start  # type: ignore[method-assign]
        raise ZeroDivisionError

    lab.owner.start = broken  # type: ignore[method-assign]
    assert [type(receipt) for receipt in await asyncio.gather(lab.send(1), lab.send(2))] == [NotSent, NotSent]
    later = lab.send(3)
    await lab.turn()
    lab.service.end()
    assert type(await later) is Accepted
    assert len(lab.service.calls) == 1


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_an_exchange_that_never_ran_or_broke(cancelled_first: bool) -> None:
    """Should an exchange be cancelled before it ran, or break in a way that nobody foresaw, its callers are told."""
    lab = Lab()
    tasks = [lab.send(1), lab.send(2)]
    if cancelled_first:
        start = lab.owner.start

        def cancelled(work: Any) -> Any:
            task = start(work)
            task.cancel()
            return task

        lab.owner.start = cancelled  # type: ignore[method-assign]
    else:

        async def broken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

        lab.dispatch.batch = broken  # type: ignore[method-assign]
    receipts = await asyncio.gather(*tasks)
    assert {type(receipt) for receipt in receipts} == {NotSent if cancelled_first else Unconfirmed}
    assert lab.service.calls == []


async def test_misuse_is_raised() -> None:
    """A mistake of the program, such as options that cannot work, is raised and not told by a receipt."""
    lab = Lab()
    task = lab.send(1)
    await lab.turn()
    lab.service.end(failure=ConfigurationError("wrong"))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        await task


async def test_closing() -> None:
    """Closing takes no more, lets what waits leave, and ends the waiting of those who have no room yet at once."""
    lab = Lab(slots=1, capacity=2)
    tasks = [lab.send(number) for number in range(5)]
    await lab.turn()
    lab.outbox.close()
    with pytest.raises(ClientClosed):
        await tasks[4]
    with pytest.raises(ClientClosed):
        await lab.send(9)
    draining = asyncio.create_task(lab.outbox.drain())
    await lab.turn()
    assert not draining.done()
    lab.service.end()
    await lab.turn()
    lab.service.end()
    await draining
    assert [type(receipt) for receipt in await asyncio.gather(*tasks[:4])] == [Accepted] * 4


async def test_giving_up() -> None:
    """What still waits when the grace is over was never sent, and is told so."""
    lab = Lab(slots=1)
    first = lab.send(0)
    await lab.turn()
    waiting = [lab.send(1), lab.send(2)]
    await lab.turn()
    lab.outbox.close()
    lab.outbox.give_up("the client was closed")
    assert [type(receipt) for receipt in await asyncio.gather(*waiting)] == [NotSent, NotSent]
    lab.service.end()
    assert type(await first) is Accepted
    assert len(lab.service.calls) == 1


async def test_receipts_come_in_turns() -> None:
    """Thousands of receipts do not wake all their callers in one turn of the event loop."""
    lab = Lab()
    tasks = [lab.send(number) for number in range(5_000)]
    await lab.turn()
    lab.service.end()
    most = before = 0
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        done = sum(task.done() for task in tasks)
        most, before = max(most, done - before), done
    assert most <= 1_024


def test_priorities_have_lanes() -> None:
    """HIGH and REALTIME go by an outbox of their own, everything else by the other."""
    service = Service()
    dispatch = Dispatch(service, Owner(), Turns(), limits=Limits(), events=Events(), on_unclaimed=None)
    outboxes = Outboxes(dispatch, Owner(), Turns(), OutboxOptions(), Limits())
    by = {priority: outboxes.of(message(1, priority)) for priority in (None, *Priority)}
    assert by[Priority.HIGH] is by[Priority.REALTIME]
    assert by[None] is by[Priority.LOW] is by[Priority.MEDIUM]
    assert by[None] is not by[Priority.HIGH]


@pytest.mark.parametrize(
    "wrong",
    [{"linger": -1}, {"linger": float("nan")}, {"linger": True}, {"capacity": 0}, {"capacity_bytes": 1.5},
     {"when_full": "drop"}],
)  # fmt: skip
def test_options_that_cannot_work(wrong: dict[str, Any]) -> None:
    """Options that cannot work are refused when they are made, by name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        OutboxOptions(**wrong)


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
        self.flushes.append(asyncio.create_task(self.lab.outbox.flush()))

    def close(self, _: int) -> None:
        self.lab.outbox.close()

    def give_up(self, _: int) -> None:
        self.lab.outbox.close()
        self.lab.outbox.give_up("closed")

    async def finish(self) -> None:
        await self.lab.turn()
        self.lab.outbox.close()
        everybody = [*self.tasks, *self.flushes, asyncio.create_task(self.lab.outbox.drain())]
        for _ in range(500):
            if all(task.done() for task in everybody):
                return
            self.lab.service.end()
            await self.lab.turn(2)
        pytest.fail("somebody waits for ever")

    def judge(self) -> None:
        posted = [number for call in self.lab.service.calls for number in self.lab.service.numbers(call)]
        assert posted == sorted(set(posted)), "posted twice, or out of order"
        unclaimed: dict[int, list[Receipt]] = {}
        for receipt in self.lab.unclaimed:
            unclaimed.setdefault(number_of(receipt.message.to), []).append(receipt)
        for number, task in enumerate(self.tasks):
            mine = unclaimed.get(number, [])
            if task.cancelled():
                # A task that is cancelled before its first step never gave us its message.
                assert len(mine) == 1 or (not mine and number not in posted)
            elif (error := task.exception()) is not None:
                assert isinstance(error, ClientClosed | OutboxFull)
                assert mine == []
                assert number not in posted
            else:
                mine = [*mine, task.result()]
                assert len(mine) == 1
            for receipt in mine:
                assert number_of(receipt.message.to) == number
                assert type(receipt) is NotSent or number in posted
                assert type(receipt) is not Accepted or receipt.message_id == str(number)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(actions, max_size=50),
    st.integers(1, 3),
    st.integers(1, 9),
    st.sampled_from([0.0, 1.5]),
    st.sampled_from(["wait", "refuse"]),
)
async def test_any_interleaving(
    steps: list[tuple[str, int]], slots: int, capacity: int, linger: float, when_full: str
) -> None:
    """Send, cancel, flush, close and faults in any order: one outcome a message, at most one POST, order kept."""
    lab = Lab(slots=slots, capacity=capacity, linger=linger, when_full=when_full, batch_bytes=400)
    drive = Drive(lab)
    for action, number in steps:
        await drive.step(action, number)
        assert len(lab.service.under_way) <= slots
        assert len(lab.outbox._buffer) <= capacity
    await drive.finish()
    drive.judge()
