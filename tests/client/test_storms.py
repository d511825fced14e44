"""Outages and storms in virtual time: the whole street with its real breaker, retries and limits, and a sick service.

The service below is a transport in place of the pool. What single attempts prove is the fault lab's.
"""

import asyncio
import random

import pytest
import virtual_time
from storm_lab import LATENCY, Fault, Lab, bad_gateway, between, messages, refused, reset, too_many

from devino_async import (
    Accepted,
    CallFailed,
    DeadlineExceeded,
    NotSent,
    OutcomeUnknown,
    RequestNotSent,
    RetryPolicy,
    SendingRefused,
    Unconfirmed,
)
from devino_async.exchange import Answer, Call


@pytest.mark.parametrize("fault", [refused, too_many])
def test_fifteen_seconds_of_unsent(fault: Fault) -> None:
    """15 s of refused connections, or of 429, in the midst of a campaign cost no message, whatever its retries."""
    lab = Lab(service := between(0.4, 15.4, fault))
    kinds, error = virtual_time.run(lab.stream(60_000, 1_000))
    assert (kinds, error) == ({Accepted: 60_000}, None)
    assert len(service.sends) < 150


@pytest.mark.parametrize("fault", [reset, bad_gateway])
def test_fifteen_seconds_of_doubt(fault: Fault) -> None:
    """15 s of resets after the request, or of 502, leave in doubt at most what was in flight, and nothing unsent."""
    lab = Lab(between(0.4, 15.4, fault))
    kinds, error = virtual_time.run(lab.stream(60_000, 1_000))
    assert error is None
    assert kinds[NotSent] == 0
    assert kinds[Unconfirmed] <= 4 * 1_000
    assert kinds.total() == 60_000


def test_sends_that_fail_while_look_ups_answer() -> None:
    """A service that takes look-ups and no sends costs what was in flight and three batches of 500, then it ends."""
    lab = Lab(service := between(0.4, 10_000, bad_gateway, probes_fail=False))
    kinds, error = virtual_time.run(lab.stream(60_000, 1_000))
    assert isinstance(error, OutcomeUnknown)
    assert kinds[Unconfirmed] <= 4 * 1_000 + 3 * 500
    assert all(size <= 500 for size in service.sizes[-3:])
    # What was read has its receipt, and no more was read.
    assert kinds[NotSent] <= 6 * 1_000


def test_trouble_beyond_the_deadline_ends_a_stream() -> None:
    """A service that stays away ends a stream after `stream_deadline`: what was read is NotSent, no more is read."""
    lab = Lab(between(0.0, float("inf"), refused), retry=RetryPolicy(stream_deadline=60.0))

    async def run() -> float:
        kinds, error = await lab.stream(60_000, 1_000)
        assert isinstance(error, DeadlineExceeded)
        assert kinds == {NotSent: kinds.total()}
        assert kinds.total() <= 5 * 1_000
        return virtual_time.now()

    assert 60 <= virtual_time.run(run()) < 62


def test_one_send_waits_for_its_own_deadline() -> None:
    """Single sends wait at most their own deadline while the lane is open, and are NotSent then."""
    lab = Lab(between(0.0, float("inf"), refused))

    async def run() -> None:
        async def send(number: int) -> float:
            await asyncio.sleep(number)
            assert type(await lab.send(next(messages(1)))) is NotSent
            return virtual_time.now() - number

        assert max(await asyncio.gather(*map(send, range(100)))) < 30.1

    virtual_time.run(run())


def test_a_storm_of_429() -> None:
    """In a storm of 429 for 600 s the patient get through within seconds of its end, in any order of their coming."""
    lab = Lab(between(0.0, 600.0, too_many), retry=RetryPolicy(deadline=700.0))

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
        # `#` stands for the place of the message in the request.
        items = ",".join(item.replace("#", str(place)) for place in range(call.messages))
        return Answer(status=200, body=f'{{"result":[{items}]}}'.encode())


@pytest.mark.parametrize(
    ("key", "ref", "ends"),
    [
        ("billing.error", None, True),
        ("forbidden", "", True),
        ("not.available", "messages[0].from", True),
        ("not.available", "messages[#].from", True),
        ("not.available", "messages[i].from", True),
        ("something.new", "from", True),
        ("billing.error", "messages[#]", True),
        ("billing.error", "messages[i]", True),
        ("billing.error", "messages.#", True),
        ("billing.error", "message[#]", True),
        ("billing.error", "messages", True),
        ("billing.error", "[#]", True),
        ("to.format.invalid", "messages[0].to", False),
        ("to.format.invalid", "messages[#].to", False),
        ("to.format.invalid", "messages[i].to", False),
        ("scheduledTime.is.invalid", "messages[i].scheduledTime", False),
        ("text.length.too.long", "messages[i].text", False),
        ("validity.is.invalid", "messages[i].validity", False),
        ("priority.is.not.match", "messages[i].priority", False),
        ("callbackUrl.format.invalid", "messages[i].callbackUrl", False),
        ("to.format.invalid", "to", False),
        ("something.new", "messages[#].options[0]", False),
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

    lab = Lab(service := between(0.0, float("inf"), wrong_certificate))
    kinds, error = virtual_time.run(lab.stream(60_000, 1_000))
    assert isinstance(error, RequestNotSent)
    assert "certificate" in str(error)
    assert kinds == {NotSent: kinds.total()}
    assert len(service.sends) <= 4
    assert service.probes == 0
