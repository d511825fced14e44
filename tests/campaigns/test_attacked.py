"""What an attack on the journal found: each test is a rule that was broken once."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback_service import Service, accept_all

from devino_async import Accepted, DevinoClient, DevinoError, Message, Receipt, RetryPolicy, Unconfirmed
from devino_async.campaigns import JournalFailed, SQLiteJournal
from devino_async.campaigns.states import Part, Run

pytestmark = pytest.mark.usefixtures("no_leaks")
NAME = "spring-sale"


def messages(count: int) -> list[Message]:
    return [Message(sender="MyCompany", to=f"7900{number:07}", text=f"text {number}") for number in range(count)]


class Faulty(SQLiteJournal):
    """Notes what it is asked, and fails where the test says so, before or after the real work."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[str] = []
        self.failing: set[str] = set()
        self.fail_after_the_work = False
        self.spared: set[str] = set()

    async def _either(self, name: str, work: Any) -> Any:
        self.asked.append(name)
        if name not in self.failing:
            return await work()
        if self.fail_after_the_work:
            await work()
        raise JournalFailed("the disk is full")

    async def claim(self, run: Run, part: Part) -> None:
        await self._either("claim", lambda: super(Faulty, self).claim(run, part))

    async def release(self, run: Run, token: str) -> None:
        await self._either("release", lambda: super(Faulty, self).release(run, token))

    async def settle(self, run: Run, part: Part, marks: bytes, results: bytes) -> None:
        if part.token in self.spared:
            raise JournalFailed("this part is damaged")
        await self._either("settle", lambda: super(Faulty, self).settle(run, part, marks, results))

    async def end(self, run: Run, *, complete: bool) -> None:
        await self._either("end", lambda: super(Faulty, self).end(run, complete=complete))


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Faulty]:
    async with Faulty(tmp_path / "sms.journal") as made:
        yield made


def client(service: Service, journal: SQLiteJournal, **options: Any) -> DevinoClient:
    retry = RetryPolicy(backoff=0.0, **options)
    return DevinoClient("key", base_url=service.url, journal=journal, retry=retry)


async def run(service: Service, journal: SQLiteJournal, some: list[Message], **options: Any) -> list[Receipt]:
    async with client(service, journal) as devino:
        return [each async for each in devino.send_many(some, campaign=NAME, **options)]


def sent(service: Service) -> list[str]:
    return [each["to"] for _, _, _, body in service.requests if "messages" in body for each in body["messages"]]


def answers(*statuses: int) -> Any:
    """Answer the first sends with these statuses, and accept the others."""
    left = list(statuses)

    async def answer(request: web.Request, body: Any) -> web.StreamResponse:
        if "messages" in body and left and (status := left.pop(0)) != 200:
            return web.json_response({"code": "NO", "description": "no"}, status=status)
        return await accept_all(request, body)

    return answer


@pytest.mark.parametrize("seed", range(8))
async def test_any_order_gives_each_message_its_own_id(service: Service, journal: Faulty, seed: int) -> None:
    """However often an input is reordered between runs, each message has its own id and is sent once."""
    chance = random.Random(seed)
    some = messages(40)
    service.answering = answers(*(chance.choice([200, 400]) for _ in range(10)))
    for _ in range(5):
        chance.shuffle(some)
        receipts = await run(service, journal, some, only_new=True, batch_size=chance.randint(3, 20))
        ids = {each.message.to: each.message_id for each in receipts if isinstance(each, Accepted)}
        assert all(recipient == message_id for recipient, message_id in ids.items())
    assert len(ids) == 40
    [state] = await journal.campaigns()
    assert state.messages == state.accepted == 40


@pytest.mark.parametrize("after", [False, True])
async def test_a_failed_release_is_claimed_again(service: Service, journal: Faulty, after: bool) -> None:
    """After a release that failed, the claim is written again before the next request: the release may be on disk."""
    journal.failing, journal.fail_after_the_work = {"release"}, after
    service.answering = answers(429)
    receipts = await run(service, journal, messages(5))
    assert {type(each) for each in receipts} == {Accepted}
    assert journal.asked[:4] == ["claim", "release", "claim", "settle"]
    assert (await journal.campaigns())[0].accepted == 5


async def test_gaps_are_filled_by_content(service: Service, journal: Faulty) -> None:
    """A batch that never began leaves a gap. Once its messages went by content, a run by position sends none again."""
    some = messages(20)
    claimed, real = asyncio.Event(), journal.claim

    async def only_the_second(run: Run, part: Part) -> None:
        if part.positions[0] == 0:
            journal.spared = {part.token}
            await claimed.wait()
            raise JournalFailed("the disk is full")
        await real(run, part)
        claimed.set()

    journal.claim = only_the_second  # type: ignore[method-assign]
    with pytest.raises(JournalFailed):
        async with client(service, journal) as devino:
            async for _ in devino.send_many(some, campaign=NAME, batch_size=10):
                pass
    assert len(await journal.records(NAME, 0, 99)) == 1
    journal.claim = real  # type: ignore[method-assign]
    assert await journal.recorded(NAME) == 20
    await run(service, journal, some, only_new=True)
    again = await run(service, journal, some, batch_size=10)
    assert {type(each) for each in again} == {Accepted}
    assert len(sent(service)) == len(set(sent(service))) == 20


@pytest.mark.parametrize("key", [None, "order-17"])
async def test_no_release_after_a_doubt(service: Service, journal: Faulty, key: str | None) -> None:
    """With `retry_on_503`, an attempt that may have been processed is never released, whatever comes after it."""
    service.answering = answers(503, 429, 400)
    released: list[str] = []

    async def noted(token: str) -> None:
        released.append(token)

    journal.release_keys = noted  # type: ignore[method-assign]
    async with client(service, journal, retry_on_503=True) as devino:
        if key is None:
            [receipt] = [each async for each in devino.send_many(messages(1), campaign=NAME)]
        else:
            receipt = await devino.send(messages(1)[0], key=key)
    assert isinstance(receipt, Unconfirmed)
    assert "release" not in journal.asked
    assert released == []


@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_a_run_that_is_cancelled_at_its_beginning(service: Service, journal: Faulty, turns: int) -> None:
    """Wherever a run is cancelled, the next one may begin."""
    async with client(service, journal) as devino:
        task = asyncio.create_task(devino.send_all(messages(5), campaign=NAME))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        while True:
            try:
                report = await devino.send_all(messages(5), campaign=NAME)
                break
            except DevinoError:
                # What was in flight is being finished.
                await asyncio.sleep(0)
    assert report.total == 5
    assert len(sent(service)) == len(set(sent(service)))


async def test_an_end_that_fails_is_tried_again(service: Service, journal: Faulty) -> None:
    """A run whose end could not be written ends as soon as it can be, at the latest when the client is closed."""
    journal.failing = {"end"}
    async with client(service, journal) as devino:
        await devino.send_all(messages(5), campaign=NAME)
        journal.failing = set()
    assert {type(each) for each in await run(service, journal, messages(5))} == {Accepted}


async def test_one_damaged_record_costs_only_itself(service: Service, journal: Faulty) -> None:
    """Outcomes that can be written are written, although another one never can be."""
    journal.failing = {"settle"}
    devino = client(service, journal)
    claimed: list[str] = []
    real = journal.claim

    async def noted(run: Run, part: Part) -> None:
        claimed.append(part.token)
        await real(run, part)

    journal.claim = noted  # type: ignore[method-assign]
    report = await devino.send_all(messages(40), campaign=NAME, batch_size=10)
    assert len(report.accepted) == 40
    journal.failing, journal.spared = set(), {claimed[0]}
    with pytest.raises(JournalFailed):
        await devino.aclose()
    assert (await journal.campaigns())[0].accepted == 30


async def test_a_journal_that_is_closed_before_its_client(service: Service, journal: Faulty) -> None:
    """Each message that was read gets a receipt although the journal is closed, and the run ends with the reason."""
    unclaimed: list[Receipt] = []
    read = 0

    def some() -> Iterator[Message]:
        nonlocal read
        for each in messages(3_000):
            read += 1
            yield each

    devino = DevinoClient("key", base_url=service.url, journal=journal, on_unclaimed=unclaimed.extend)
    receipts = []
    with pytest.raises(JournalFailed, match="close the client first"):
        async for receipt in devino.send_many(some(), campaign=NAME, batch_size=50):
            receipts.append(receipt)
            if len(receipts) == 1:
                await journal.aclose()
    assert len(receipts) == read
    assert unclaimed == []
    with pytest.raises(JournalFailed):
        # What became of the batches in flight could not be written any more.
        await devino.aclose()


async def test_an_input_that_cannot_be_read(service: Service, journal: Faulty) -> None:
    """A mistake in the call does not keep the campaign's name taken."""
    with pytest.raises(TypeError):
        await run(service, journal, 5)  # type: ignore[arg-type]
    assert len(await run(service, journal, messages(5))) == 5
