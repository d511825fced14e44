"""Batches in a lane in trouble, in virtual time: each test is a fault that an attack found."""

import asyncio
from typing import Any

import pytest
import virtual_time
from storm_lab import OPTIONS, Lab, Scripted, messages, refused, too_many

from devino_async import Accepted, NotSent, RetryPolicy, ServerFailed, Unconfirmed
from devino_async.exchange import Answer, Call


def unavailable(call: Call) -> ServerFailed:
    return ServerFailed("the service failed", operation=call.operation, status=503)


def test_a_batch_in_doubt_does_not_keep_a_half_open_lane() -> None:
    """With `retry_on_503` a batch that ends while it holds a half-open lane gives it back, and others go on."""
    service = Scripted(lambda call, now: unavailable(call) if len(service.sends) == 1 else None)
    lab = Lab(service, retry=RetryPolicy(retry_on_503=True))

    async def run() -> None:
        first, _ = await lab.stream(1_000, 1_000)
        assert first == {Unconfirmed: 1_000}
        assert await lab.sends(1) == {Accepted: 1}
        assert await lab.stream(1_000, 1_000) == ({Accepted: 1_000}, None)
        assert virtual_time.now() < 5

    virtual_time.run(run())


def test_503_by_wish_has_an_end() -> None:
    """With `retry_on_503` a stream repeats a batch as often as the policy says, and not for all its patience."""
    service = Scripted(lambda call, now: unavailable(call))
    lab = Lab(service, retry=RetryPolicy(retry_on_503=True, attempts=5))
    kinds, _ = virtual_time.run(lab.stream(500, 500))
    assert kinds == {Unconfirmed: 500}
    assert len(service.sends) <= 5


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8, 13])
def test_closing_begins_nothing_more_of_a_cut_batch(turns: int) -> None:
    """A batch that is being cut when its client closes begins neither its first part nor the rest."""
    service = Scripted(lambda call, now: refused(call) if len(service.sends) == 1 else None)
    lab = Lab(service)

    async def run() -> None:
        sending = asyncio.create_task(lab.sends(20_000))
        await lab.half_open.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        begun = len(service.sends)
        lab.dispatch.close()
        lab.breaker.close()
        await lab.outboxes.aclose(0)
        await lab.owner.drain(0)
        assert service.sizes[begun:] == []
        assert await sending == {NotSent: 20_000}

    virtual_time.run(run())


def test_waiting_for_the_pace_is_not_held_against_a_send() -> None:
    """One refused attempt costs no message of a backlog that has waited for the pace longer than its deadline."""
    blips: list[float] = []

    def fault(call: Call, now: float) -> Any:
        if now > 60 and not blips:
            blips.append(now)
            return refused(call)
        return None

    lab = Lab(Scripted(fault), messages_per_second=10, batch_bytes=700)
    assert virtual_time.run(lab.sends(1_000)) == {Accepted: 1_000}


def test_a_hold_is_not_longer_for_what_waited_for_the_pace() -> None:
    """A 429 that asks for less than the deadline costs no batch that had waited for the pace before."""
    service = Scripted(lambda call, now: None)
    refused_once: list[float] = []

    def fault(call: Call, now: float) -> Any:
        if now > 30 and not refused_once:
            refused_once.append(now)
            return too_many(call, 15.0)
        return None

    service.fault = fault
    lab = Lab(service, messages_per_second=10, in_flight=8)

    async def run() -> None:
        rounds = []
        for _ in range(8):
            rounds.append(asyncio.create_task(lab.sends(100)))
            await asyncio.sleep(0.1)
        for each in rounds:
            assert await each == {Accepted: 100}

    virtual_time.run(run())


def test_trouble_that_was_not_continuous() -> None:
    """Two outages, each shorter than `stream_deadline`, do not end a stream together."""
    well: list[float] = []

    def fault(call: Call, now: float) -> Any:
        if now < 50 or (call.operation == "send" and well and now < well[0] + 25):
            return refused(call)
        if call.operation == "send" and not well:
            well.append(now)  # One small batch gets through, then the second outage begins.
        return None

    service = Scripted(fault, probes_fail=True)
    lab = Lab(service, retry=RetryPolicy(stream_deadline=60.0))
    assert virtual_time.run(lab.stream(3_000, 3_000)) == ({Accepted: 3_000}, None)


def test_429_costs_a_cut_batch_no_attempt() -> None:
    """The parts of a batch go on with the attempts that count, and 429 does not."""
    faults = [too_many, too_many, too_many, too_many, refused, refused]
    service = Scripted(lambda call, now: faults.pop(0)(call) if faults else None)
    lab = Lab(service, retry=RetryPolicy(attempts=5))
    assert virtual_time.run(lab.sends(600)) == {Accepted: 600}


def test_a_stream_that_was_left_sends_nothing_later() -> None:
    """What waits for a lane in trouble is not in flight: once the consumer has left it is NotSent, and unclaimed."""
    service = Scripted(lambda call, now: refused(call) if now < 600 else None, probes_fail=True)
    lab = Lab(service)

    async def run() -> None:
        async def consume() -> None:
            async for _ in lab.dispatch.stream(messages(60_000), 1_000, OPTIONS):
                pass

        consuming = asyncio.create_task(consume())
        await asyncio.sleep(5)
        consuming.cancel()
        begun = len(service.sends)
        await asyncio.sleep(2_000)
        assert len(service.sends) == begun
        assert {type(receipt) for receipt in lab.unclaimed} == {NotSent}
        assert len(lab.unclaimed) == len({receipt.message.to for receipt in lab.unclaimed}) >= 4_000

    virtual_time.run(run())


def test_the_pace_is_not_paid_for_what_never_begins() -> None:
    """A batch that waited for the pace while its lane opened pays nothing: after the trouble the next one goes soon."""
    blips: list[float] = []

    def fault(call: Call, now: float) -> Any:
        if now > 96 and not blips:
            blips.append(now)
            return refused(call)
        return None

    lab = Lab(Scripted(fault), messages_per_second=1_000)

    async def run() -> float:
        kinds, error = await lab.stream(160_000, 32_000)
        assert (kinds, error) == ({Accepted: 160_000}, None)
        return virtual_time.now()

    # 160 s for 160,000 messages. The batch that was refused is paid for once more in part.
    assert virtual_time.run(run()) < 180


def test_a_probe_that_breaks_does_not_end_the_probing() -> None:
    """Whatever a probe raises, the next one comes, and the batches that wait for it go on."""

    class Odd(Scripted):
        async def exchange(self, call: Call) -> Answer:
            if call.operation != "send" and self.probes < 3:
                self.probes += 1
                raise ZeroDivisionError
            return await super().exchange(call)

    service = Odd(lambda call, now: refused(call) if len(service.sends) == 1 else None)
    assert virtual_time.run(Lab(service).stream(10, 10)) == ({Accepted: 10}, None)
