"""Single sends under attack: many callers share POSTs while servers fail, callers leave and the client is closed.

Moments are counted in turns of the event loop, in events of the client, or in what the server has read. Nothing sleeps.
"""

import asyncio
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from attrs import define, evolve, field
from chance import RUNS, SEED, chance
from fault_check import BOUND, KEY, PATIENT, TWICE, settled, unsound
from fault_script import ALL_BUT_ONE, GOOD, End, Pause, Say, Script, Take, altered, http, ok, part, with_status
from fault_server import FaultServer, Request
from reachable import reachable

from devino_async import (
    Accepted,
    AttemptStarted,
    ClientClosed,
    DeadlineExceeded,
    DevinoClient,
    Limits,
    Message,
    NotSent,
    OutboxFull,
    OutboxOptions,
    Priority,
    Receipt,
    RetryPolicy,
    RetryScheduled,
    TooManyRequests,
    Unconfirmed,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

GROUPS = 5
PATIENCE = RetryPolicy(attempts=5, backoff=0.0, deadline=1_000_000.0)
HOLD: Script = (Take("request"), Say(http(429, "{}", "Retry-After: 3600"), refuses=True), End("eof"))
SILENT: Script = (Take("request"), End("stall"))
URGENT = {Priority.HIGH, Priority.REALTIME}

PASSING: tuple[Script, ...] = (
    *([GOOD] * 8),
    (Take("request"), Pause(30), Say(ok)),
    (End("rst"),),
    (Take("head"), End("fin")),
    (Take(0.5), End("rst")),
    (Take(ALL_BUT_ONE), End("fin")),
    (Take("head"), Say(http(200, '{"result": []}')), End("eof")),
    (Take("head"), Say(http(408, "{}"), refuses=True), End("eof")),
    (Take("request"), End("rst")),
    (Take("request"), Say(part(0.5)), End("rst")),
    (Take("request"), Say(part(0.5, of_body=False)), End("fin")),
    (Take("request"), Say(http(429, "{}", "Retry-After: 0"), refuses=True), End("eof")),
    (Take("request"), Say(http(408), refuses=True), End("eof")),
    (Take("request"), Say(http(401, "{}"), refuses=True), End("eof")),
    (Take("request"), Say(http(500)), End("eof")),
    (Take("request"), Say(with_status(503)), End("eof")),
    (Take("request"), Say(with_status(400)), End("eof")),
    (Take("request"), Say(altered(lambda results: results[:-1])), End("eof")),
    (Take("request"), Say(altered(lambda results: [*results[:-1], {"code": "REJECTED"}])), End("eof")),
    (Take("request"), Say(altered(lambda results: [None, *results[1:]])), End("eof")),
)
LASTING: tuple[Script, ...] = (
    HOLD,
    SILENT,
    (End("stall"),),
    (Take("head"), End("stall")),
    (Take(0.5), End("stall")),
    (Take("request"), Say(part(0.7)), End("stall")),
)


def message(number: int, priority: Priority | None = None) -> Message:
    return Message(sender="Lab", to=f"7900{number:07}", text=f"Привет {number}", priority=priority)


def asks_segments(one: Message) -> bool:
    """Which of the options a message is sent with: its number decides."""
    return int(one.to) % 7 == 0


@define
class Crowd:
    """Callers of `send`, each with a message of its own, and every receipt that reached anybody."""

    begun: list[Message] = field(factory=list)
    refused: list[Message] = field(factory=list)
    crossed: list[Message] = field(factory=list)
    receipts: list[Receipt] = field(factory=list)
    events: list[Any] = field(factory=list)
    callers: "list[asyncio.Task[None]]" = field(factory=list)

    async def _send(self, client: DevinoClient, one: Message) -> None:
        self.begun.append(one)
        try:
            receipt = await client.send(one, include_segment_id=asks_segments(one))
            self.receipts.append(receipt)
            if receipt.message is not one:
                self.crossed.append(one)
        except (ClientClosed, OutboxFull):
            self.begun.remove(one)
            self.refused.append(one)

    def call(self, client: DevinoClient, count: int, choose: Callable[[], Priority | None] = lambda: None) -> None:
        for _ in range(count):
            one = message(len(self.callers), choose())
            self.callers.append(asyncio.create_task(self._send(client, one)))

    async def gone(self) -> None:
        """Wait until every caller has left."""
        if self.callers:
            await asyncio.wait(self.callers)

    def saw(self, kind: type) -> int:
        return sum(isinstance(each, kind) for each in self.events)

    def kinds(self) -> set[type]:
        return {type(receipt) for receipt in self.receipts}

    def wrong(self, server: FaultServer) -> list[str]:
        """All that the ground truth contradicts."""
        found = unsound(self.receipts, server.posts, self.begun)
        posted = {phone for post in server.posts for phone in post.phones}
        found += [f"{each.to}: refused to its caller, but sent" for each in self.refused if each.to in posted]
        found += [f"{each.to}: its caller has the receipt of another" for each in self.crossed]
        found += [f"raised {task.exception()!r}" for task in self.callers if not task.cancelled() and task.exception()]
        return found + mixed(server.posts, self.begun)


def mixed(posts: Sequence[Request], begun: Sequence[Message]) -> list[str]:
    """POSTs that hold messages of both lanes, or with other options than were asked for."""
    by_phone = {each.to: each for each in begun}
    found = []
    for post in posts:
        inside = [by_phone[phone] for phone in post.phones if phone in by_phone]
        if len({each.priority in URGENT for each in inside}) > 1:
            found.append("a POST of both lanes")
        if {asks_segments(each) for each in inside} - {b"includeSegmentId=true" in post.head}:
            found.append("a POST with the options of another")
    return found


def client_of(server: FaultServer, crowd: Crowd, **options: Any) -> DevinoClient:
    options = {"retry": TWICE, "on_event": crowd.events.append, **options}
    return reachable(
        DevinoClient(KEY, base_url=server.url, timeouts=PATIENT, on_unclaimed=crowd.receipts.extend, **options)
    )


async def until(condition: Callable[[], object]) -> None:
    while not condition():
        await asyncio.sleep(0)


def holds_whole(server: FaultServer, count: int = 1) -> Callable[[], bool]:
    return lambda: sum(request.complete for request in server.requests) >= count


# What must hold at moments that were chosen


async def test_cancels_during_a_hold() -> None:
    """While a 429 holds, callers may leave in crowds: each has one receipt, NotSent, and nothing more is asked."""
    crowd = Crowd()
    async with asyncio.timeout(BOUND), FaultServer((HOLD,)) as server:
        client = client_of(server, crowd, retry=PATIENCE, limits=Limits(in_flight=2, batch_bytes=400))
        crowd.call(client, 50)
        await until(lambda: crowd.saw(RetryScheduled))
        await settled(server)
        asked = server.accepted
        for caller in crowd.callers:
            caller.cancel()
        await crowd.gone()
        # Messages in the outbox are reported at once, those in an exchange when it ends.
        assert 0 < len(crowd.receipts) < 50
        await client.aclose(grace=0)
        assert crowd.wrong(server) == []
        assert asked == server.accepted <= 2
    assert len(crowd.receipts) == 50
    assert crowd.kinds() == {NotSent}


async def test_a_hold_holds_its_lane() -> None:
    """After a 429 no send and no stream of that lane begins. Urgent sends and look-ups have holds of their own."""
    crowd = Crowd()
    async with asyncio.timeout(BOUND), FaultServer((HOLD,)) as server:
        async with client_of(server, crowd) as client:
            crowd.call(client, 1)
            await crowd.gone()
            for _ in range(2):
                crowd.call(client, 1, lambda: Priority.REALTIME)
                await crowd.gone()
            with pytest.raises(DeadlineExceeded) as caught:
                await client.send_all([message(100)])
            assert [type(each) for each in caught.value.report] == [NotSent]
            with pytest.raises(TooManyRequests):
                await client.account()
        assert crowd.wrong(server) == []
        assert server.accepted == 3
    assert crowd.kinds() == {NotSent}


async def test_closing_while_messages_wait() -> None:
    """When the grace is over, what the server holds is Unconfirmed and in the report. What waited is NotSent."""
    crowd = Crowd()
    async with asyncio.timeout(BOUND), FaultServer((SILENT,)) as server:
        client = client_of(server, crowd, limits=Limits(in_flight=1))
        crowd.call(client, 1)
        await until(holds_whole(server))
        crowd.call(client, 20)
        await asyncio.sleep(0)
        report = await client.aclose(grace=0.05)
        await crowd.gone()
        assert crowd.wrong(server) == []
        assert server.accepted == 1
    assert [each.message for each in report.unconfirmed] == [message(0)]
    assert [type(each) for each in crowd.receipts].count(NotSent) == 20


async def test_cancels_and_closing_at_the_door() -> None:
    """With a full outbox, callers cancelled at the door are NotSent, closing turns away the others, none is sent."""
    crowd = Crowd()
    async with asyncio.timeout(BOUND), FaultServer((SILENT,)) as server:
        client = client_of(server, crowd, limits=Limits(in_flight=1), outbox=OutboxOptions(capacity=2))
        crowd.call(client, 1)
        await until(holds_whole(server))
        crowd.call(client, 12)
        await asyncio.sleep(0)
        for caller in crowd.callers[1::3]:
            caller.cancel()
        await asyncio.sleep(0)
        # One is inside, three are at the door. The last is cancelled in the same turn as the closing.
        assert crowd.kinds() == {NotSent}
        assert len(crowd.receipts) == 4
        crowd.callers[-1].cancel()
        await client.aclose(grace=0)
        await crowd.gone()
        assert crowd.wrong(server) == []
        assert server.accepted == 1
    assert [number for number, each in enumerate(crowd.callers) if each.cancelled()] == [1, 4, 7, 10, 12]
    assert sorted(int(each.to[4:]) for each in crowd.refused) == [5, 6, 8, 9, 11]
    assert [each.message for each in crowd.receipts if isinstance(each, Unconfirmed)] == [message(0)]


async def test_closing_lets_all_leave() -> None:
    """With grace enough everything that waits, also behind a slow answer and with a linger, is still sent."""
    crowd = Crowd()
    slow: Script = (Take("request"), Pause(40), Say(ok))
    async with asyncio.timeout(BOUND), FaultServer((slow,)) as server:
        options = {"limits": Limits(in_flight=1, batch_bytes=500), "outbox": OutboxOptions(linger=3_600.0)}
        client = client_of(server, crowd, **options)
        crowd.call(client, 40)
        await asyncio.sleep(0)
        report = await client.aclose(grace=1_000)
        await crowd.gone()
        assert crowd.wrong(server) == []
    assert report.unconfirmed == ()
    assert len(crowd.receipts) == 40
    assert crowd.kinds() == {Accepted}


@pytest.mark.parametrize("again", [True, False])
async def test_closing_is_hurried(again: bool) -> None:
    """Closing that is cancelled, or done again without grace, still leaves every message with one receipt."""
    crowd = Crowd()
    async with asyncio.timeout(BOUND), FaultServer((SILENT,)) as server:
        client = client_of(server, crowd, limits=Limits(in_flight=2, batch_bytes=400))
        crowd.call(client, 20)
        await until(holds_whole(server, 2))
        closing = asyncio.create_task(client.aclose(grace=1_000))
        await asyncio.sleep(0)
        if again:
            await client.aclose(grace=0)
        else:
            closing.cancel()
        await asyncio.wait({closing})
        await crowd.gone()
        assert closing.cancelled() is not again
        assert crowd.wrong(server) == []
        assert server.accepted == 2
    assert crowd.kinds() == {NotSent, Unconfirmed}
    assert len(crowd.receipts) == 20


async def test_cancels_while_the_pace_holds() -> None:
    """Callers cancelled while the pace lets nothing begin lose no receipt. Closing then sends nothing more."""
    crowd = Crowd()
    async with asyncio.timeout(BOUND), FaultServer((GOOD,)) as server:
        limits = Limits(in_flight=2, batch_bytes=400, requests_per_second=0.001)
        client = client_of(server, crowd, limits=limits)
        crowd.call(client, 30)
        await until(lambda: crowd.receipts)
        for caller in crowd.callers[1::2]:
            caller.cancel()
        await settled(server)
        await client.aclose(grace=0)
        await crowd.gone()
        assert crowd.wrong(server) == []
        assert server.accepted == crowd.saw(AttemptStarted) == 1
    assert len(crowd.receipts) == 30
    assert crowd.kinds() == {Accepted, NotSent}


async def test_lanes_do_not_wait_for_each_other() -> None:
    """While a silent server holds all that the bulk lane may have in flight, urgent sends and look-ups go through."""
    crowd, urgent = Crowd(), message(500, Priority.HIGH)
    known: Script = (Take("request"), Say(http(200, '{"result": {"account": {"balance": 1}}}')))
    async with asyncio.timeout(BOUND), FaultServer((SILENT, SILENT, GOOD, known)) as server:
        client = client_of(server, crowd, limits=Limits(in_flight=2, batch_bytes=400))
        crowd.call(client, 20)
        await until(holds_whole(server, 2))
        assert type(await client.send(urgent)) is Accepted
        await client.account()
        assert crowd.receipts == []
        await client.aclose(grace=0)
        await crowd.gone()
        assert unsound(crowd.receipts, [post for post in server.posts if post.phones != [urgent.to]], crowd.begun) == []


async def test_a_flush_behind_a_hold() -> None:
    """A flush that waits behind a 429 ends with the receipts when the client is closed. It does not wait for ever."""
    crowd = Crowd()
    async with asyncio.timeout(BOUND), FaultServer((HOLD,)) as server:
        limits, outbox = Limits(in_flight=1, batch_bytes=400), OutboxOptions(linger=3_600.0)
        client = client_of(server, crowd, retry=PATIENCE, limits=limits, outbox=outbox)
        crowd.call(client, 20)
        await asyncio.sleep(0)
        flushing = asyncio.create_task(client.flush())
        await until(lambda: crowd.saw(RetryScheduled))
        await client.aclose(grace=0)
        await flushing
        await crowd.gone()
        assert crowd.wrong(server) == []
    assert len(crowd.receipts) == 20
    assert crowd.kinds() == {NotSent}


@pytest.mark.parametrize("turns", range(12))
async def test_everything_is_cancelled(turns: int) -> None:
    """When every task is cancelled, as at the end of asyncio.run, each message has one receipt all the same."""
    crowd = Crowd()
    async with asyncio.timeout(BOUND), FaultServer((GOOD,)) as server:
        client = client_of(server, crowd)
        crowd.call(client, 3)
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks():
            if task in crowd.callers or task.get_name().startswith("devino"):
                task.cancel()
        await crowd.gone()
        await client.aclose(grace=0)
        await settled(server)
        assert crowd.wrong(server) == []


# And at moments that chance chooses


@define
class Storm:
    """One run: random callers, cancels, flushes and faults, then the end of the client."""

    dice: random.Random
    crowd: Crowd = field(factory=Crowd)
    hopeless: bool = False
    flushes: "list[asyncio.Task[None]]" = field(factory=list)

    def scripts(self) -> tuple[Script, ...]:
        kinds = PASSING + LASTING * self.dice.choice((0, 0, 1))
        chosen = tuple(self.dice.choice(kinds) for _ in range(self.dice.randint(1, 12)))
        self.hopeless = any(script in LASTING for script in chosen)
        return chosen

    def options(self) -> dict[str, Any]:
        choose = self.dice.choice
        slow = choose((None, None, None, None, 0.001))
        self.hopeless = self.hopeless or slow is not None
        return {
            "limits": Limits(
                in_flight=choose((1, 2, 4)), batch_bytes=choose((1, 400, 2_000, 32_000_000)), requests_per_second=slow,
                messages_per_second=choose((None, 1e6)),
            ),
            "outbox": OutboxOptions(
                linger=choose((0.0, 0.0, 0.001, 3_600.0)), capacity=choose((1, 5, 64_000)),
                capacity_bytes=choose((100, 64_000_000)), when_full=choose(("wait", "wait", "refuse")),
            ),
            # Nothing but the deadline bounds how often 429 is answered by another attempt.
            "retry": choose((evolve(TWICE, deadline=0.2), evolve(PATIENCE, deadline=0.3))),
            "on_event": choose((self.crowd.events.append, None, broken_hook)),
        }  # fmt: skip

    def priority(self) -> Priority | None:
        return self.dice.choice((None, None, Priority.LOW, Priority.HIGH, Priority.REALTIME))

    async def blow(self, client: DevinoClient) -> None:
        dice = self.dice
        for _ in range(dice.randint(1, 25)):
            what = dice.random()
            if what < 0.45:
                self.crowd.call(client, dice.choice((1, 1, 3, 15)), self.priority)
            elif what < 0.65 and self.crowd.callers:
                for caller in dice.sample(self.crowd.callers, dice.randint(1, len(self.crowd.callers))):
                    caller.cancel()
            elif what < 0.72:
                self.flushes.append(asyncio.create_task(client.flush()))
            for _ in range(dice.choice((0, 1, 2, 5, 40))):
                await asyncio.sleep(0)


def broken_hook(_: Any) -> None:
    raise ZeroDivisionError


async def stormed(seed: int) -> list[str]:
    """What is wrong with one run."""
    storm = Storm(chance(seed))
    crowd, dice = storm.crowd, storm.dice
    async with asyncio.timeout(BOUND), FaultServer(storm.scripts()) as server:
        client = client_of(server, crowd, **storm.options())
        await storm.blow(client)
        patient = not storm.hopeless and dice.random() < 0.7
        closing = [asyncio.create_task(client.aclose(grace=1_000 if patient else dice.choice((0, 0, 0.01))))]
        if dice.random() < 0.2:
            crowd.call(client, 3, storm.priority)
        if dice.random() < 0.1:
            await asyncio.sleep(0)
            closing[0].cancel()
        await asyncio.wait(closing)
        begun = server.begun_so_far()
        with suppress(asyncio.CancelledError):
            report = closing[0].result()
            told = {each.message.to for each in report.unconfirmed}
        await client.aclose(grace=0)
        await crowd.gone()
        if storm.flushes:
            await asyncio.wait(storm.flushes)
        await settled(server)
        wrong = crowd.wrong(server)
        if await server.begun_so_far() > await begun:
            wrong.append("it went on after it was closed")
        if not closing[0].cancelled():
            unconfirmed = {each.message.to for each in crowd.receipts if isinstance(each, Unconfirmed)}
            wrong += [f"{phone}: told to be unconfirmed, which it is not" for phone in told - unconfirmed]
    return wrong


def found_in(group: int, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None, share: int = 1) -> Any:
    seeds = [SEED * 1_000_003 + number for number in range(group, RUNS // 5 // share, GROUPS)]
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return {seed: wrong[:3] for seed in seeds if (wrong := runner.run(stormed(seed)))}


@pytest.mark.parametrize("group", range(GROUPS))
def test_random_storms(group: int) -> None:
    """Whatever fails or is cancelled: each message has one outcome, a sound one, and is delivered once at most."""
    wrong = found_in(group)
    assert not wrong, f"{len(wrong)} seeds: {dict(list(wrong.items())[:5])}"


def eager_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
    return loop


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in Python 3.12")
def test_random_storms_of_eager_tasks() -> None:
    """The same where tasks begin at once, in the middle of what made them."""
    wrong = found_in(0, eager_loop)
    assert not wrong, f"{len(wrong)} seeds: {dict(list(wrong.items())[:5])}"


def test_random_storms_on_uvloop() -> None:
    """The same on uvloop, where it is installed."""
    wrong = found_in(1, pytest.importorskip("uvloop").new_event_loop)
    assert not wrong, f"{len(wrong)} seeds: {dict(list(wrong.items())[:5])}"
