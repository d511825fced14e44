"""Outages and storms in virtual time: the whole street with its real breaker, retries and limits, and a sick service.

The service below is a transport in place of the pool. What single attempts prove is the fault lab's.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import virtual_time

from devino_async import (
    Accepted,
    CallFailed,
    DeadlineExceeded,
    Limits,
    Message,
    NotSent,
    OutcomeUnknown,
    Receipt,
    RetryPolicy,
    SendingRefused,
    ServerFailed,
    TooManyRequests,
    Unconfirmed,
)
from devino_async.client.batches import Batches, SendOptions
from devino_async.client.dispatch import Dispatch
from devino_async.client.lookups import PROBE
from devino_async.client.outbox import Outboxes, OutboxOptions
from devino_async.errors import RequestNotSent
from devino_async.events import Events
from devino_async.exchange import Answer, Call
from devino_async.flow.ownership import Owner
from devino_async.flow.steps import Turns
from devino_async.transport.stack import stacked

OPTIONS = SendOptions.of(False, False)
LATENCY = 0.05
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
Fault = Callable[[Call], CallFailed]


def refused(call: Call) -> CallFailed:
    return RequestNotSent("refused", operation=call.operation)


def reset(call: Call) -> CallFailed:
    return OutcomeUnknown("reset", operation=call.operation)


def bad_gateway(call: Call) -> CallFailed:
    return ServerFailed("the service failed", operation=call.operation, status=502)


def too_many(call: Call) -> CallFailed:
    return TooManyRequests("slow down", operation=call.operation, status=429)


class Service:
    """Answers after a while, or fails from one moment to another. `probes_fail` says whether look-ups do, too."""

    def __init__(self, fault: Fault, begin: float, end: float, *, probes_fail: bool = True) -> None:
        self.fault, self.begin, self.end, self.probes_fail = fault, begin, end, probes_fail
        self.sends = 0
        self.probes = 0
        self.sizes: list[int] = []

    async def exchange(self, call: Call) -> Answer:
        is_send = call.operation == "send"
        self.sends += is_send
        self.probes += not is_send
        self.sizes += [call.messages] * is_send
        await asyncio.sleep(LATENCY)
        if self.begin <= virtual_time.now() < self.end and (is_send or self.probes_fail):
            raise self.fault(call)
        item = b'{"code":"OK","messageId":"1"}'
        return Answer(status=200, body=b'{"result":[' + b",".join([item] * call.messages) + b"]}")


class Lab:
    """The street of a client from its dispatch down, on a service of the test's."""

    def __init__(self, service: Any, *, retry: RetryPolicy | None = None, **limits: Any) -> None:
        self.told: list[Any] = []
        events, turns, owner = Events(self.told.append), Turns(), Owner()
        retry, bounds = retry or RetryPolicy(), Limits(**limits)
        transport, self.breaker = stacked(
            service, PROBE, limits=bounds, retry=retry, events=events, clock=virtual_time.now
        )
        batches = Batches(transport, self.breaker, turns, retry=retry, events=events, today=lambda: NOON)
        self.dispatch = Dispatch(
            batches, owner, turns, clock=virtual_time.now, limits=bounds, events=events, on_unclaimed=None
        )
        self.outboxes = Outboxes(self.dispatch, owner, turns, OutboxOptions(), limits=bounds, clock=virtual_time.now)

    async def stream(self, count: int, batch_size: int) -> tuple[Counter[type], BaseException | None]:
        kinds: Counter[type] = Counter()
        try:
            async for receipt in self.dispatch.stream(messages(count), batch_size, OPTIONS):
                kinds[type(receipt)] += 1
        except CallFailed as error:
            return kinds, error
        except SendingRefused as error:
            return kinds, error
        return kinds, None

    async def send(self, message: Message) -> Receipt:
        waiting = self.outboxes.of(message).put(message, OPTIONS)
        return await waiting.outcome


def messages(count: int) -> Iterator[Message]:
    for number in range(count):
        yield Message(sender="MyCompany", to=f"7900{number:07}", text="x")


@pytest.mark.parametrize("fault", [refused, too_many])
def test_fifteen_seconds_of_unsent(fault: Fault) -> None:
    """15 s of refused connections, or of 429, in the midst of a campaign cost no message, whatever its retries."""
    lab = Lab(service := Service(fault, 0.4, 15.4))
    kinds, error = virtual_time.run(lab.stream(60_000, 1_000))
    assert (kinds, error) == ({Accepted: 60_000}, None)
    assert service.sends < 150


@pytest.mark.parametrize("fault", [reset, bad_gateway])
def test_fifteen_seconds_of_doubt(fault: Fault) -> None:
    """15 s of resets after the request, or of 502, leave in doubt at most what was in flight, and nothing unsent."""
    lab = Lab(Service(fault, 0.4, 15.4))
    kinds, error = virtual_time.run(lab.stream(60_000, 1_000))
    assert error is None
    assert kinds[NotSent] == 0
    assert kinds[Unconfirmed] <= 4 * 1_000
    assert kinds.total() == 60_000


def test_sends_that_fail_while_look_ups_answer() -> None:
    """A service that takes look-ups and no sends costs what was in flight and three batches of 500, then it ends."""
    lab = Lab(service := Service(bad_gateway, 0.4, 10_000, probes_fail=False))
    kinds, error = virtual_time.run(lab.stream(60_000, 1_000))
    assert isinstance(error, OutcomeUnknown)
    assert kinds[Unconfirmed] <= 4 * 1_000 + 3 * 500
    assert all(size <= 500 for size in service.sizes[-3:])
    # What was read has its receipt, and no more was read.
    assert kinds[NotSent] <= 6 * 1_000


def test_trouble_beyond_the_deadline_ends_a_stream() -> None:
    """A service that stays away ends a stream after `stream_deadline`: what was read is NotSent, no more is read."""
    lab = Lab(Service(refused, 0.0, float("inf")), retry=RetryPolicy(stream_deadline=60.0))

    async def run() -> float:
        kinds, error = await lab.stream(60_000, 1_000)
        assert isinstance(error, DeadlineExceeded)
        assert kinds == {NotSent: kinds.total()}
        assert kinds.total() <= 5 * 1_000
        return virtual_time.now()

    assert 60 <= virtual_time.run(run()) < 62


def test_one_send_waits_for_its_own_deadline() -> None:
    """Single sends wait at most their own deadline while the lane is open, and are NotSent then."""
    lab = Lab(Service(refused, 0.0, float("inf")))

    async def run() -> None:
        async def send(number: int) -> float:
            await asyncio.sleep(number)
            assert type(await lab.send(next(messages(1)))) is NotSent
            return virtual_time.now() - number

        assert max(await asyncio.gather(*map(send, range(100)))) < 30.1

    virtual_time.run(run())


def test_a_storm_of_429() -> None:
    """In a storm of 429 for 600 s the patient get through within seconds of its end, in any order of their coming."""
    lab = Lab(Service(too_many, 0.0, 600.0), retry=RetryPolicy(deadline=700.0))

    async def run() -> None:
        chance = random.Random(1)

        async def send() -> float:
            await asyncio.sleep(chance.random() * 100)
            assert type(await lab.send(next(messages(1)))) is Accepted
            return virtual_time.now()

        ends = await asyncio.gather(*(send() for _ in range(100)))
        assert 600 <= min(ends) <= max(ends) < 606

    virtual_time.run(run())


class Rejecting:
    """Accepts so many batches, then rejects every message for one reason."""

    def __init__(self, good: int, key: str, ref: str | None) -> None:
        self.good, self.key, self.ref = good, key, ref
        self.batches = 0

    async def exchange(self, call: Call) -> Answer:
        self.batches += 1
        rejected = self.batches > self.good
        await asyncio.sleep(LATENCY)
        ref = "null" if self.ref is None else f'"{self.ref}"'
        reason = f'{{"key":"{self.key}","ref":{ref}}}'
        item = f'{{"code":"REJECTED","reasons":[{reason}]}}' if rejected else '{"code":"OK","messageId":"1"}'
        return Answer(status=200, body=('{"result":[' + ",".join([item] * call.messages) + "]}").encode())


@pytest.mark.parametrize(
    ("key", "ref", "ends"),
    [
        ("billing.error", None, True),
        ("forbidden", "", True),
        ("not.available", "messages[0].from", True),
        ("something.new", "from", True),
        ("to.format.invalid", "messages[0].to", False),
        ("something.new", "text", False),
    ],
)
def test_an_empty_balance_ends_a_stream(key: str, ref: str | None, ends: bool) -> None:
    """A whole batch rejected for the account's sake ends a stream: an empty balance must not reject millions."""
    lab = Lab(service := Rejecting(3, key, ref))
    _, error = virtual_time.run(lab.stream(30_000, 500))
    assert isinstance(error, SendingRefused) is ends
    if isinstance(error, SendingRefused):
        assert [reason.key for reason in error.reasons] == [key]
        assert service.batches <= 3 + 2 * 4


@pytest.mark.parametrize(("batch_size", "stop"), [(99, True), (500, False)])
def test_what_does_not_end_a_stream(batch_size: int, stop: bool) -> None:
    """Fewer than 100 rejections may be an accident of the input, and the policy may turn the rule off."""
    lab = Lab(Rejecting(0, "billing.error", None), retry=RetryPolicy(stop_when_all_rejected=stop))
    kinds, error = virtual_time.run(lab.stream(3_000, batch_size))
    assert (kinds.total(), error) == (3_000, None)


def test_a_permanent_failure_ends_a_stream_at_once() -> None:
    """A failure that no repeat can mend, such as a wrong certificate, ends a stream with its own error."""

    def wrong_certificate(call: Call) -> CallFailed:
        error = RequestNotSent("certificate", operation=call.operation)
        error.retriable, error.permanent = False, True
        return error

    lab = Lab(service := Service(wrong_certificate, 0.0, float("inf")))
    kinds, error = virtual_time.run(lab.stream(60_000, 1_000))
    assert isinstance(error, RequestNotSent)
    assert "certificate" in str(error)
    assert kinds == {NotSent: kinds.total()}
    assert service.sends <= 4
    assert service.probes == 0
