"""Retry: how often, how long and how far apart, with a scripted transport and a clock that only the test moves."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from devino_async.errors import (
    CallFailed,
    ConfigurationError,
    DeadlineExceeded,
    OutcomeUnknown,
    RequestNotSent,
    ServerFailed,
    TooManyRequests,
)
from devino_async.events import Events
from devino_async.exchange import Answer, Call
from devino_async.transport.limits import Limited, Limits
from devino_async.transport.retry import Retrying, RetryPolicy

SEND = Call(operation="send", method="POST", path="/", repeatable=False)


class Script:
    """A transport that does what its script says, one entry an attempt. The last entry goes on for ever."""

    def __init__(self, *entries: Callable[[], CallFailed] | Answer) -> None:
        self.entries = list(entries)
        self.attempts = 0

    async def exchange(self, call: Call) -> Answer:
        self.attempts += 1
        entry = self.entries.pop(0) if len(self.entries) > 1 else self.entries[0]
        if isinstance(entry, Answer):
            return entry
        raise entry()


class Clock:
    """Time that passes only in sleep()."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


def unsent() -> RequestNotSent:
    return RequestNotSent("no connection", operation="send")


def unknown() -> OutcomeUnknown:
    return OutcomeUnknown("lost", operation="send")


def too_many(retry_after: float | None) -> Callable[[], TooManyRequests]:
    def made() -> TooManyRequests:
        error = TooManyRequests("slow down", operation="send", status=429)
        error.retry_after = retry_after
        return error

    return made


OK = Answer(status=200, body=b"{}")


def retrying(script: Script, clock: Clock, random: float = 1.0, **policy: float) -> Retrying:
    limited = Limited(script, Limits(), clock=clock, sleep=clock.sleep, events=Events())
    made = RetryPolicy(**policy)  # type: ignore[arg-type]
    return Retrying(limited, made, clock=clock, sleep=clock.sleep, random=lambda: random, events=Events())


async def test_an_unsent_call_is_repeated() -> None:
    """What is proved unsent is tried again, and the answer says how many requests it took."""
    script, clock = Script(unsent, unsent, OK), Clock()
    answer = await retrying(script, clock).exchange(SEND)
    assert (answer.attempts, script.attempts) == (3, 3)


async def test_full_jitter() -> None:
    """The wait before retry n is a random part of backoff * 2^(n-1), never more than the longest."""
    clock = Clock()
    with pytest.raises(RequestNotSent):
        await retrying(Script(unsent), clock, 0.5, attempts=6, backoff=1.0, max_backoff=5.0).exchange(SEND)
    assert clock.slept == [0.5, 1.0, 2.0, 2.5, 2.5]


async def test_the_last_error_knows_the_earlier_ones() -> None:
    """When the attempts run out, the last error is raised with their number and the earlier errors."""
    with pytest.raises(RequestNotSent) as caught:
        await retrying(Script(unsent), Clock(), attempts=3).exchange(SEND)
    assert caught.value.attempts == 3
    assert len(caught.value.earlier) == 2
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


async def test_an_unknown_outcome_is_never_repeated() -> None:
    """A send that may have been processed is not tried again, even after attempts that were proved unsent."""
    script = Script(unsent, unknown, OK)
    with pytest.raises(OutcomeUnknown) as caught:
        await retrying(script, Clock()).exchange(SEND)
    assert script.attempts == 2
    assert caught.value.attempts == 2


def failed(status: int) -> Callable[[], ServerFailed]:
    return lambda: ServerFailed("the service failed", operation="send", status=status)


@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_503_by_option_only(status: int, allowed: bool) -> None:
    """A send is repeated after 503 only where the policy says so, and after no other 5xx."""
    script = Script(failed(status), OK)
    if allowed and status == 503:
        assert (await retrying(script, Clock(), retry_on_503=allowed).exchange(SEND)).attempts == 2
        return
    with pytest.raises(ServerFailed) as caught:
        await retrying(script, Clock(), retry_on_503=allowed).exchange(SEND)
    assert caught.value.attempts == script.attempts == 1


async def test_a_503_while_closing_is_not_repeated() -> None:
    """When closing cancelled a send whose answer is a 503, no further attempt begins, whatever the policy says."""

    class Closing(Script):
        async def exchange(self, call: Call) -> Answer:
            # The pool swallows the cancellation of a send, to say what became of it.
            with suppress(asyncio.CancelledError):
                await (asyncio.sleep(0) if self.attempts else asyncio.Event().wait())
            return await super().exchange(call)

    script = Closing(failed(503), OK)
    task = asyncio.create_task(retrying(script, Clock(), retry_on_503=True).exchange(SEND))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(ServerFailed):
        await task
    assert script.attempts == 1


async def test_no_attempt_begins_after_the_deadline() -> None:
    """A wait that would end after the deadline is not begun: DeadlineExceeded, with everything that happened."""
    clock, script = Clock(), Script(unsent)
    with pytest.raises(DeadlineExceeded) as caught:
        await retrying(script, clock, attempts=100, backoff=4.0, deadline=10.0).exchange(SEND)
    assert clock.now <= 10.0
    assert caught.value.attempts == script.attempts == len(caught.value.earlier)
    assert caught.value.proves_unsent


async def test_retry_after_is_waited_for() -> None:
    """After 429 the wait is at least what the service asked for."""
    clock, script = Clock(), Script(too_many(7.0), OK)
    await retrying(script, clock, random=0.0).exchange(SEND)
    assert clock.now >= 7.0


async def test_retry_after_beyond_the_deadline_ends_at_once() -> None:
    """A wish to wait longer than the deadline is not waited for at all."""
    clock, script = Clock(), Script(too_many(3600.0), OK)
    with pytest.raises(TooManyRequests) as caught:
        await retrying(script, clock, deadline=60.0).exchange(SEND)
    assert clock.slept == []
    assert caught.value.retry_after == 3600.0


async def test_a_429_holds_its_lane_and_operation() -> None:
    """While a 429 holds, calls of the same lane and operation wait too. Others do not."""
    clock, script = Clock(), Script(too_many(50.0), OK)
    shared = retrying(script, clock, random=0.0, deadline=10.0)
    with pytest.raises(TooManyRequests):
        await shared.exchange(SEND)
    for other in (
        Call(operation="statuses", method="POST", path="/"),
        Call(operation="send", method="POST", path="/", repeatable=False, urgent=True),
    ):
        await shared.exchange(other)
        assert clock.now == 0.0
    with pytest.raises(DeadlineExceeded):
        await shared.exchange(SEND)
    assert clock.now == 0.0
    patient = Retrying(
        shared._inner, RetryPolicy(deadline=100.0), clock=clock, sleep=clock.sleep, random=lambda: 0.0, events=Events()
    )
    await patient.exchange(SEND)
    assert clock.now >= 50.0


async def test_a_429_is_not_an_attempt() -> None:
    """However often the service says 429, the number of attempts does not end the call: only its deadline does."""
    clock, script = Clock(), Script(*[too_many(None)] * 20, OK)
    answer = await retrying(script, clock, attempts=2, deadline=1_000.0).exchange(SEND)
    assert answer.attempts == 21


async def test_a_429_costs_no_budget() -> None:
    """A retry after 429 is paced by the hold, so a storm of them leaves the budget whole."""
    clock, script = Clock(), Script(*[too_many(1.0)] * 80, unsent, OK)
    await retrying(script, clock, deadline=1_000.0, budget=1.0, budget_per_second=0.0).exchange(SEND)


async def test_a_429_without_a_wish() -> None:
    """Without Retry-After the hold is 1 s, twice as long each time up to 4 s, and 1 s again after an answer."""
    clock, script = Clock(), Script(*[too_many(None)] * 4, OK, too_many(None), OK)
    shared = retrying(script, clock, random=0.0, deadline=1_000.0)
    await shared.exchange(SEND)
    assert clock.now == 1 + 2 + 4 + 4
    await shared.exchange(SEND)
    assert clock.now == 11 + 1


async def test_a_held_call_beyond_its_deadline_gives_up() -> None:
    """A call that would have to wait for others' 429 beyond its deadline ends without a request."""
    clock, script = Clock(), Script(too_many(500.0), OK)
    shared = retrying(script, clock, attempts=1, deadline=100.0)
    with pytest.raises(TooManyRequests):
        await shared.exchange(SEND)
    with pytest.raises(DeadlineExceeded) as caught:
        await shared.exchange(SEND)
    assert caught.value.attempts == 0
    assert script.attempts == 1


async def test_the_budget_ends_retries_in_an_outage() -> None:
    """Retries are paid from a budget that all calls share. In an outage calls soon fail after one attempt each."""
    script = Script(unsent)
    shared = retrying(script, Clock(), attempts=5, budget_per_second=0.0)
    for _ in range(100):
        with pytest.raises(RequestNotSent):
            await shared.exchange(SEND)
    assert script.attempts == 100 + 50


async def test_the_budget_belongs_to_its_lane() -> None:
    """Look-ups that fail never spend what a send needs."""
    script = Script(unsent)
    shared = retrying(script, Clock(), attempts=5, budget_per_second=0.0)
    for _ in range(100):
        with pytest.raises(RequestNotSent):
            await shared.exchange(Call(operation="statuses", method="POST", path="/"))
    before = script.attempts
    with pytest.raises(RequestNotSent):
        await shared.exchange(SEND)
    assert script.attempts == before + 5


async def test_time_brings_the_budget_back() -> None:
    """The budget comes back by itself, so many tokens a second and never more than it holds."""
    clock, script = Clock(), Script(unsent)
    shared = retrying(script, clock, random=0.0, attempts=5, budget=4.0, budget_per_second=0.5)
    made = []
    for pause in (0.0, 0.0, 4.0, 100.0):
        clock.now += pause
        before = script.attempts
        with pytest.raises(RequestNotSent):
            await shared.exchange(SEND)
        made.append(script.attempts - before)
    assert made == [5, 1, 3, 5]


async def test_success_earns_the_budget_back() -> None:
    """Calls that succeed pay into the budget, so that retries come back after an outage."""
    script = Script(unsent)
    shared = retrying(script, Clock(), attempts=5, budget_per_second=0.0)
    for _ in range(100):
        with pytest.raises(RequestNotSent):
            await shared.exchange(SEND)
    script.entries = [OK]
    for _ in range(11):
        await shared.exchange(SEND)
    script.entries, before = [unsent], script.attempts
    with pytest.raises(RequestNotSent):
        await shared.exchange(SEND)
    assert script.attempts == before + 3


async def test_cancelling_a_wait_is_not_swallowed() -> None:
    """A call that is cancelled between two attempts ends as cancelled. Retry never swallows that."""

    class Stuck(Clock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.Event().wait()

    script = Script(unsent)
    task = asyncio.create_task(retrying(script, Stuck()).exchange(SEND))
    while not script.attempts:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert script.attempts == 1


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"deadline": -1.0}, {"backoff": float("inf")}])
def test_options_that_cannot_work(wrong: dict[str, float]) -> None:
    """Options that cannot work are refused when they are made, by name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


async def test_waiting_for_the_pace_is_no_trouble() -> None:
    """A slow pace makes calls wait as long as it takes, and none fails for it."""
    clock = Clock()
    limits = Limits(messages_per_second=10)
    limited = Limited(Script(OK), limits, clock=clock, sleep=clock.sleep, events=Events())
    paced = Retrying(
        limited, RetryPolicy(deadline=5.0), clock=clock, sleep=clock.sleep, random=lambda: 1.0, events=Events()
    )
    call = Call(operation="send", method="POST", path="/", repeatable=False, messages=1_000)
    for _ in range(4):
        assert (await paced.exchange(call)).attempts == 1
    assert clock.now >= 300.0
