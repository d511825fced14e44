"""The breaker, in virtual time: a sick service costs what was in flight and a few small batches, and no more."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
import virtual_time
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from devino_async.errors import CallFailed, DeadlineExceeded, OutcomeUnknown, Refused, RequestNotSent, TooManyRequests
from devino_async.events import ClientEvent, Events
from devino_async.exchange import Answer, Call, Lane, TooManyForHalfOpen
from devino_async.redaction import Redaction
from devino_async.transport.attempt import Attempt
from devino_async.transport.breaker import HALF_OPEN_MESSAGES, Breaker, Patience, Ticket

SEND = Call(operation="send", method="POST", path="/", repeatable=False, messages=1)
PROBE = Call(operation="statuses", method="POST", path="/probe")


class Service:
    """Answers probes as the test says, and counts them."""

    def __init__(self) -> None:
        self.sick = True
        self.latency = 0.0
        self.probed_at: list[float] = []
        self.error: Callable[[], CallFailed] = lambda: OutcomeUnknown("reset", operation="statuses")

    async def exchange(self, call: Call) -> Answer:
        assert call is PROBE
        self.probed_at.append(virtual_time.now())
        await asyncio.sleep(self.latency)
        if self.sick:
            raise self.error()
        return Answer(status=200, body=b"{}")


class Lab:
    """A breaker, and what it told."""

    def __init__(self) -> None:
        self.service = Service()
        self.told: list[tuple[str, str, float]] = []
        self.breaker = Breaker(
            self.service, PROBE, clock=virtual_time.now, sleep=asyncio.sleep, events=Events(self._note)
        )

    def _note(self, event: ClientEvent) -> None:
        self.told.append((event.lane, event.state, event.wait))  # type: ignore[union-attr]

    def ticket(self, patience: float = 900.0, lane: Lane = Lane.BULK, *, patient: bool = True) -> Ticket:
        return self.breaker.ticket(lane, Patience(virtual_time.now(), patience, stream=patient))

    async def opened(self, lane: Lane = Lane.BULK) -> Ticket:
        """A lane that one batch has just opened."""
        ticket = self.ticket(lane=lane)
        await ticket.admit(SEND)
        ticket.attempt_failed(OutcomeUnknown("reset", operation="send"))
        return ticket


def lab(test: Callable[[Lab], Any]) -> Callable[[], None]:
    """Run the test in virtual time, and see that it leaves no task of ours."""

    def run() -> None:
        async def body() -> None:
            made = Lab()
            await test(made)
            made.breaker.close()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("devino")]

        virtual_time.run(body())

    run.__doc__, run.__name__ = test.__doc__, test.__name__
    return run


@lab
async def test_a_closed_lane_lets_everything_begin(lab: Lab) -> None:
    """While all is well a batch of any size begins at once, and no probe is sent."""
    for messages in (1, 32_000):
        await lab.ticket().admit(Call(operation="send", method="POST", path="/", messages=messages))
    assert (lab.service.probed_at, lab.told) == ([], [])


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (OutcomeUnknown("reset", operation="send"), True),
        (RequestNotSent("refused", operation="send"), True),
        (Refused("late", operation="send", status=408), True),
        (Refused("no", operation="send", status=400), False),
        (Refused("key", operation="send", status=401), False),
        (TooManyRequests("slow", operation="send", status=429), False),
        (DeadlineExceeded("held", operation="send"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, CallFailed) else None,
)
def test_what_trouble_is(error: CallFailed, opens: bool) -> None:
    """Trouble is a batch that ends Unconfirmed, or an attempt proved unsent by transport or 408. A refusal is not."""

    @lab
    async def run(lab: Lab) -> None:
        ticket = lab.ticket()
        await ticket.admit(SEND)
        ticket.attempt_failed(error)
        assert bool(lab.told) is opens

    run()


@lab
async def test_an_unreadable_answer_is_trouble(lab: Lab) -> None:
    """A whole batch left Unconfirmed by an answer that cannot be read opens the lane too."""
    ticket = lab.ticket()
    await ticket.admit(SEND)
    ticket.ended(unconfirmed=True)
    assert lab.told == [("bulk", "open", 0.2)]


@lab
async def test_pauses_double_to_thirty_seconds(lab: Lab) -> None:
    """Probes come after 0.2 s, then twice as late each time, up to every 30 s, while a batch waits."""
    await lab.opened()
    waiting = asyncio.create_task(lab.ticket().admit(SEND))
    await asyncio.sleep(200)
    gaps = [round(b - a, 3) for a, b in zip([0.0, *lab.service.probed_at], lab.service.probed_at, strict=False)]
    assert gaps[:9] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]
    assert set(gaps[9:]) == {30.0}
    waiting.cancel()


@lab
async def test_one_batch_begins_when_a_probe_is_answered(lab: Lab) -> None:
    """A half-open lane lets one batch begin, the first that waited. Its success lets all the others begin."""
    await lab.opened()
    tickets = [lab.ticket() for _ in range(5)]
    waiting = [asyncio.create_task(ticket.admit(SEND)) for ticket in tickets]
    await asyncio.sleep(0)
    lab.service.sick = False
    await asyncio.sleep(0.3)
    assert [task.done() for task in waiting] == [True, False, False, False, False]
    tickets[0].ended(unconfirmed=False)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert all(task.done() for task in waiting)
    assert [state for _, state, _ in lab.told] == ["open", "half open", "closed"]


@lab
async def test_a_half_open_lane_takes_small_batches_only(lab: Lab) -> None:
    """A batch of over 500 messages must be cut: its first part goes with the same ticket, which may begin already."""
    await lab.opened()
    lab.service.sick = False
    ticket = lab.ticket()
    with pytest.raises(TooManyForHalfOpen):
        await ticket.admit(Call(operation="send", method="POST", path="/", messages=HALF_OPEN_MESSAGES + 1))
    await ticket.admit(Call(operation="send", method="POST", path="/", messages=HALF_OPEN_MESSAGES))


@lab
async def test_strikes(lab: Lab) -> None:
    """Three half-open batches in a row that end Unconfirmed strike a stream out, with longer pauses between them."""
    await lab.opened()
    lab.service.sick = False
    began = []
    for strikes in range(1, 4):
        ticket = lab.ticket()
        await ticket.admit(SEND)
        began.append(round(virtual_time.now(), 3))
        ticket.attempt_failed(OutcomeUnknown("502", operation="send", status=502))
        assert ticket.struck_out is (strikes == 3)
    assert began == [0.2, 0.6, 1.4]


@lab
async def test_a_success_forgets_strikes_and_pauses(lab: Lab) -> None:
    """After a batch succeeded, new trouble begins with the shortest pause and no strike."""
    await lab.opened()
    lab.service.sick = False
    for unconfirmed in (True, True, False):
        ticket = lab.ticket()
        await ticket.admit(SEND)
        ticket.ended(unconfirmed=unconfirmed)
    await lab.opened()
    assert lab.told[-1] == ("bulk", "open", 0.2)
    ticket = lab.ticket()
    await ticket.admit(SEND)
    ticket.ended(unconfirmed=True)
    assert not ticket.struck_out


@lab
async def test_a_hold_in_a_half_open_lane(lab: Lab) -> None:
    """429 to the one batch of a half-open lane is neither success nor trouble: another batch may be the one."""
    await lab.opened()
    lab.service.sick = False
    first, second = lab.ticket(), lab.ticket()
    await first.admit(SEND)
    first.attempt_failed(TooManyRequests("slow", operation="send", status=429))
    await second.admit(SEND)
    second.ended(unconfirmed=False)
    await first.admit(SEND)
    assert [state for _, state, _ in lab.told] == ["open", "half open", "closed"]


@lab
async def test_old_news_changes_nothing(lab: Lab) -> None:
    """Batches that began before the lane opened neither close it nor count as strikes nor lengthen its pause."""
    old = [lab.ticket() for _ in range(4)]
    for ticket in old:
        await ticket.admit(SEND)
    old[0].attempt_failed(OutcomeUnknown("reset", operation="send"))
    old[1].ended(unconfirmed=False)
    old[2].attempt_failed(RequestNotSent("reset", operation="send"))
    assert lab.told == [("bulk", "open", 0.2)]
    lab.service.sick = False
    new = lab.ticket()
    await new.admit(SEND)
    old[3].ended(unconfirmed=True)
    new.ended(unconfirmed=False)
    assert [state for _, state, _ in lab.told] == ["open", "half open", "closed"]


@lab
async def test_lanes_are_apart(lab: Lab) -> None:
    """Trouble in one lane says nothing about the other."""
    await lab.opened(Lane.BULK)
    await lab.ticket(lane=Lane.URGENT).admit(SEND)
    assert [lane for lane, _, _ in lab.told] == ["bulk"]


@lab
async def test_patience(lab: Lab) -> None:
    """A stream waits for as long as trouble may last for it. A single send waits for its own deadline.

    That counts from the beginning of the send, and after a first attempt from that attempt's failure.
    """
    await lab.opened()
    again = evolve(SEND, attempt=2, give_up_at=45.0)
    ends = []
    tickets = [(lab.ticket(30.0, patient=False), SEND), (lab.ticket(30.0, patient=False), again), (lab.ticket(), SEND)]
    for ticket, call in tickets:
        with pytest.raises(DeadlineExceeded):
            await ticket.admit(call)
        ends.append(virtual_time.now())
    assert ends == [30.0, 45.0, 900.0]


@lab
async def test_a_later_stream_has_patience_of_its_own(lab: Lab) -> None:
    """A stream that begins while the lane is in trouble counts from its own beginning."""
    await lab.opened()
    await asyncio.sleep(5_000)
    with pytest.raises(DeadlineExceeded):
        await lab.ticket(patience=900.0).admit(SEND)
    assert virtual_time.now() == 5_900.0


@lab
async def test_trouble_that_was_not_watched(lab: Lab) -> None:
    """Once a due probe was left out, as nothing waited for it, trouble counts from the next time that it is seen."""
    ticket = lab.ticket(patience=10.0)
    await lab.opened()
    await asyncio.sleep(5_000)
    with pytest.raises(DeadlineExceeded):
        await ticket.admit(SEND)
    assert virtual_time.now() == 5_010.0
    with pytest.raises(DeadlineExceeded):
        await ticket.admit(SEND)
    assert virtual_time.now() == 5_010.0


@lab
async def test_nobody_waits_nobody_probes(lab: Lab) -> None:
    """Probes are sent only while a batch waits, so an idle client does not call for ever."""
    await lab.opened()
    with pytest.raises(DeadlineExceeded):
        await lab.ticket(patience=5.0).admit(SEND)
    probes = len(lab.service.probed_at)
    await asyncio.sleep(10_000)
    assert len(lab.service.probed_at) <= probes + 1


@lab
async def test_closing_ends_all_waiting(lab: Lab) -> None:
    """`close` gives everything that waits RequestNotSent at once, not to be tried again, and stops the probe."""
    await lab.opened()
    waiting = [asyncio.create_task(lab.ticket().admit(SEND)) for _ in range(3)]
    reading = asyncio.create_task(lab.breaker.until_readable(Lane.BULK, Patience(0.0, 900), "send"))
    await asyncio.sleep(1)
    lab.breaker.close()
    for task in waiting:
        with pytest.raises(RequestNotSent) as raised:
            await task
        assert not raised.value.retriable
    await reading
    assert virtual_time.now() == 1.0


@lab
async def test_no_input_is_read_while_a_lane_is_open(lab: Lab) -> None:
    """Reading waits while the lane is open, and goes on once it is half open. It ends with a stream's patience.

    However often and from whenever it is asked, that is so long after the trouble began.
    """
    lab.service.latency = 5.0
    await lab.opened()
    watching = asyncio.create_task(lab.ticket().admit(SEND))
    await asyncio.sleep(3)
    for _ in range(2):
        with pytest.raises(DeadlineExceeded):
            await lab.breaker.until_readable(Lane.BULK, Patience(0.0, 10), "send")
        assert virtual_time.now() == 10
    lab.service.sick = False
    await lab.breaker.until_readable(Lane.BULK, Patience(0.0, 100), "send")
    assert lab.told[-1][1] == "half open"
    await watching
    await lab.breaker.until_readable(Lane.URGENT, Patience(0.0, 100), "send")


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_any_answer_below_500_will_do(status: int) -> None:
    """A probe that is refused proves that the service can be reached; 5xx and no answer do not."""

    @lab
    async def run(lab: Lab) -> None:
        lab.service.error = lambda: Refused("no", operation="statuses", status=status)
        await lab.opened()
        await lab.ticket().admit(SEND)
        assert virtual_time.now() == 0.2

    run()


@pytest.mark.parametrize("whole", [True, False])
def test_a_redirect_must_be_whole(whole: bool) -> None:
    """A probe that is answered by a redirect was answered, unless the answer was cut."""

    @lab
    async def run(lab: Lab) -> None:
        attempt = Attempt(PROBE, Redaction())
        attempt.begun(302, {})
        attempt.finished() if whole else attempt.failed(ConnectionResetError())
        outcome = attempt.outcome()
        assert isinstance(outcome, CallFailed)
        lab.service.error = lambda: outcome
        await lab.opened()
        waiting = asyncio.create_task(lab.ticket().admit(SEND))
        await asyncio.sleep(1)
        assert waiting.done() is whole
        waiting.cancel()

    run()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_any_course_of_events(seed: int) -> None:
    """At most one batch is under way in a half-open lane, none begins in an open one, and none waits for ever."""

    @lab
    async def run(lab: Lab) -> None:
        chance = random.Random(seed)
        running: dict[Ticket, int] = {}
        openings = 0

        async def batch() -> None:
            nonlocal openings
            ticket = lab.ticket(chance.choice([5.0, 50.0, 900.0]), patient=chance.random() < 0.5)
            call = Call(operation="send", method="POST", path="/", messages=1, give_up_at=virtual_time.now() + 60)
            try:
                await ticket.admit(call)
            except DeadlineExceeded:
                return
            state = lab.told[-1][1] if lab.told else "closed"
            assert state != "open"
            since = sum(1 for _, told, _ in lab.told if told == "open")
            if state == "half open":
                assert since not in running.values()
            running[ticket] = since if state == "half open" else -1
            try:
                await asyncio.sleep(chance.random() * 3)
            except asyncio.CancelledError:
                ticket.give_back()
                raise
            finally:
                del running[ticket]
            chance.choice(
                [
                    lambda: ticket.ended(unconfirmed=False),
                    lambda: ticket.ended(unconfirmed=True),
                    lambda: ticket.attempt_failed(RequestNotSent("refused", operation="send")),
                    lambda: ticket.attempt_failed(TooManyRequests("slow", operation="send", status=429)),
                ]
            )()

        tasks = []
        for _ in range(60):
            lab.service.sick = chance.random() < 0.4
            tasks.append(asyncio.create_task(batch()))
            if chance.random() < 0.2:
                chance.choice(tasks).cancel()
            await asyncio.sleep(chance.random() * 2)
        lab.service.sick = False
        done, pending = await asyncio.wait(tasks, timeout=2_000)
        assert not pending
        for task in done:
            assert task.cancelled() or task.exception() is None, task

    run()
