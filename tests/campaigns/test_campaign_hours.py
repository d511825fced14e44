"""Campaigns with a schedule: what waits for its window is not claimed, and what is recorded does not wait."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from aiohttp import web
from loopback_service import Service, accept_all
from reachable import reachable

from devino_async import Accepted, DevinoClient, DevinoError, Message, NotSent, Receipt, WindowClosed
from devino_async.campaigns import CampaignState, Journal, Schedule
from devino_async.transport.breaker import _wake

pytestmark = pytest.mark.usefixtures("no_leaks")


def messages(count: int) -> list[Message]:
    return [Message(sender="MyCompany", to=f"7900{number:07}", text=f"text {number}") for number in range(count)]


def kinds(receipts: Sequence[Receipt]) -> list[type]:
    return [type(each) for each in receipts]


def closed() -> Schedule:
    """A window that opens in two hours."""
    first, last = ((datetime.now(UTC) + timedelta(hours=each)).time() for each in (2, 3))
    return Schedule(window=(first, last), time_zone=UTC)


async def state_of(journal: Journal) -> CampaignState:
    [state] = await journal.campaigns()
    return state


class Run:
    """A run of the campaign in a task, and whether it waits for its window."""

    def __init__(self, service: Service, journal: Journal, some: list[Message], **options: Any) -> None:
        self.closed = asyncio.Event()
        self.receipts: list[Receipt] = []
        self.client = DevinoClient("key", base_url=service.url, journal=journal, on_event=self._note)
        self._stream = self.client.send_many(some, campaign="spring-sale", **{"batch_size": 100, **options})
        self.task = asyncio.create_task(self._consume())

    def _note(self, event: object) -> None:
        if isinstance(event, WindowClosed):
            self.closed.set()

    async def _consume(self) -> None:
        try:
            async for each in self._stream:
                self.receipts.append(each)
        except DevinoError:
            return

    def look_at_the_clock(self) -> None:
        """A stream looks at its clock at least every minute. A change of its lane makes it look at once."""
        for circuit in self.client._breaker._circuits.values():
            _wake(circuit)

    async def end(self) -> list[Receipt]:
        await self.task
        await self.client.aclose()
        return self.receipts


async def ran(service: Service, journal: Journal, some: list[Message], **options: Any) -> list[Receipt]:
    return await Run(service, journal, some, **options).end()


@pytest.mark.parametrize("only_new", [False, True])
async def test_recorded_receipts_do_not_wait(service: Service, journal: Journal, only_new: bool) -> None:
    """A finished campaign is replayed at once, whatever the hour, as nothing of it must be sent."""
    first = await ran(service, journal, messages(950))
    service.requests.clear()
    again = await ran(service, journal, messages(950), schedule=closed(), only_new=only_new)
    assert again == first
    assert service.requests == []


async def test_what_waits_is_not_claimed(service: Service, journal: Journal) -> None:
    """A run gives what is recorded and waits with the first batch that must be sent. The journal has no claim of it."""
    await ran(service, journal, messages(300))
    service.requests.clear()
    run = Run(service, journal, messages(5_000), schedule=closed())
    await run.closed.wait()
    state = await state_of(journal)
    assert (state.messages, state.accepted, state.in_flight, state.planned) == (300, 300, 0, 0)
    await run.client.aclose()
    receipts = await run.end()
    assert kinds(receipts[:400]) == [Accepted] * 300 + [NotSent] * 100
    # The second batch is read when closing ends the wait, and so may be a third. Closing may come before they are
    # looked up in the journal.
    for each in receipts[400:]:
        assert isinstance(each, NotSent) or "It was not looked up" in str(each.error)
    assert len(receipts) <= 300 + 300, "it read on although a batch waited"
    assert service.requests == []
    assert kinds(await ran(service, journal, messages(5_000))) == [Accepted] * 5_000


async def test_after_the_deadline(service: Service, journal: Journal) -> None:
    """After the deadline a run gives what is recorded, and NotSent for the rest. That finishes no campaign."""
    late = Schedule(deadline=datetime.now(UTC) - timedelta(minutes=1))
    assert kinds(await ran(service, journal, messages(300), schedule=late)) == [NotSent] * 300
    state = await state_of(journal)
    assert (state.messages, state.finished) == (0, False)
    await ran(service, journal, messages(300))
    service.requests.clear()
    receipts = await ran(service, journal, messages(500), schedule=late)
    assert kinds(receipts) == [Accepted] * 300 + [NotSent] * 200
    assert service.requests == []
    assert kinds(await ran(service, journal, messages(500))) == [Accepted] * 500
    assert (await state_of(journal)).finished


async def test_a_batch_that_must_wait_again_is_released(service: Service, journal: Journal) -> None:
    """A batch that was refused with 429 when the window closed is not claimed overnight. It is sent in the morning."""
    clock = datetime(2026, 11, 28, 12, tzinfo=UTC)

    async def too_many(request: web.Request, body: Any) -> web.StreamResponse:
        nonlocal clock
        service.answering = accept_all
        clock = datetime(2026, 11, 28, 21, tzinfo=UTC)
        return web.json_response({}, status=429, headers={"Retry-After": "0"})

    service.answering = too_many
    schedule = Schedule(window=(time(9), time(21)), time_zone=UTC)
    run = Run(service, journal, messages(250), schedule=schedule)
    run.client._dispatch._batches._today = lambda: clock
    await run.closed.wait()
    while (await state_of(journal)).in_flight:
        await asyncio.sleep(0)
    state = await state_of(journal)
    assert state.planned + state.accepted == state.messages
    assert state.planned
    clock = datetime(2026, 11, 29, 9, tzinfo=UTC)
    run.look_at_the_clock()
    assert kinds(await run.end()) == [Accepted] * 250
    assert (await state_of(journal)).finished
    accepted = [each["to"] for _, _, _, body in service.requests[1:] for each in body["messages"]]
    assert sorted(accepted) == [each.to for each in messages(250)]


async def test_the_rest_of_a_batch_keeps_its_places(service: Service, journal: Journal) -> None:
    """If the window closes after the first small part of a batch, the rest is sent in the morning, in its places."""
    clock = datetime(2026, 11, 28, 12, tzinfo=UTC)

    async def answer(request: web.Request, body: Any) -> web.StreamResponse:
        nonlocal clock
        if len(service.requests) == 1:
            # 408 proves that nothing was processed, and is trouble: the next attempt has 500 messages at most.
            return web.json_response({}, status=408)
        clock = datetime(2026, 11, 28, 21, tzinfo=UTC)
        service.answering = accept_all
        return await accept_all(request, body)

    service.answering = answer
    schedule = Schedule(window=(time(9), time(21)), time_zone=UTC)
    run = Run(service, journal, messages(1_200), schedule=schedule, batch_size=32_000)
    reachable(run.client)._dispatch._batches._today = lambda: clock
    await run.closed.wait()
    state = await state_of(journal)
    assert (state.accepted, state.in_flight) == (500, 0)
    clock = datetime(2026, 11, 29, 9, tzinfo=UTC)
    run.look_at_the_clock()
    assert kinds(await run.end()) == [Accepted] * 1_200
    found = [each async for each in journal.outcomes("spring-sale")]
    assert [each.message_id for each in found] == [each.to for each in messages(1_200)]
    assert [each.position for each in found] == list(range(1_200))
