"""Keyed sends with a real journal against a real service on loopback."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback_service import Service, accept_all

from devino_async import Accepted, DevinoClient, Message, NotSent, Priority, Receipt, Rejected, Timeouts, Unconfirmed
from devino_async.campaigns import JournalFailed, KeyConflict, SQLiteJournal, State
from devino_async.campaigns.fingerprints import Fingerprints
from devino_async.campaigns.results import pack_one
from devino_async.campaigns.states import KeyedSend, KeyRecord

pytestmark = pytest.mark.usefixtures("no_leaks")
KEY = "order-17-shipped"


def message(number: int = 0, **fields: Any) -> Message:
    return Message(sender="MyCompany", to=f"7900{number:07}", text=f"text {number}", **fields)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator["CountingJournal"]:
    async with CountingJournal(tmp_path / "sms.journal") as made:
        yield made


@pytest.fixture
async def devino(service: Service, journal: SQLiteJournal) -> AsyncIterator[DevinoClient]:
    async with DevinoClient("key", base_url=service.url, journal=journal) as made:
        yield made


class CountingJournal(SQLiteJournal):
    """A journal that counts its calls, and fails when the test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls: Counter[str] = Counter()
        self.failing: frozenset[str] = frozenset()
        self.stale = 0

    async def find_keys(self, keys: Sequence[str]) -> Mapping[str, KeyRecord]:
        self.calls["find"] += 1
        if self.stale:
            # As if another process had claimed the key right after this look-up.
            self.stale -= 1
            return {}
        return await super().find_keys(keys)

    async def claim_keys(self, *arguments: Any, **options: Any) -> Mapping[str, KeyRecord]:
        self.calls["claim"] += 1
        if "claim" in self.failing:
            raise JournalFailed("the disk is full. Free some space")
        return await super().claim_keys(*arguments, **options)

    async def settle_keys(self, *arguments: Any) -> None:
        self.calls["settle"] += 1
        await super().settle_keys(*arguments)


def sent(service: Service) -> list[str]:
    return [each["to"] for _, _, _, body in service.requests if "messages" in body for each in body["messages"]]


async def claimed_elsewhere(path: Path, service: Service, key: str, what: Message) -> tuple[SQLiteJournal, str]:
    """Another open journal on the same file, which has claimed the key."""
    other = SQLiteJournal(path)
    fingerprint = Fingerprints(await other.secret()).of(what)
    send = KeyedSend(key=key, fingerprint=fingerprint, body=b"{}")
    assert not await other.claim_keys("theirs", service.url, [send], 2_000_000_000.0)
    return other, "theirs"


async def test_the_first_call_sends(service: Service, devino: DevinoClient) -> None:
    """Later calls with an equal message give the recorded receipt without a request."""
    first = await devino.send(message(), key=KEY)
    again = await devino.send(message(), key=KEY)
    assert isinstance(first, Accepted)
    assert again == first
    assert len(service.requests) == 1


async def test_many_share_a_request(service: Service, journal: CountingJournal, devino: DevinoClient) -> None:
    """500 concurrent keyed sends share one POST and two transactions."""
    receipts = await asyncio.gather(*[devino.send(message(n), key=f"order-{n}") for n in range(500)])
    assert [each.message.to for each in receipts if isinstance(each, Accepted)] == [message(n).to for n in range(500)]
    assert len(service.requests) == 1
    assert (journal.calls["claim"], journal.calls["settle"], journal.calls["find"]) == (1, 1, 1)


async def test_two_calls_at_once(service: Service, devino: DevinoClient) -> None:
    """Concurrent calls with one key make one POST and give each caller the receipt."""
    receipts = await asyncio.gather(*[devino.send(message(), key=KEY) for _ in range(20)])
    assert {type(each) for each in receipts} == {Accepted}
    assert len({each.message_id for each in receipts if isinstance(each, Accepted)}) == 1
    assert len(sent(service)) == 1


@pytest.mark.parametrize("other", [message(1), message(0, priority=Priority.HIGH)])
async def test_another_message_under_the_key(service: Service, devino: DevinoClient, other: Message) -> None:
    """A key belongs to one message for good: another message under it is a conflict, and is not sent."""
    sending = asyncio.create_task(devino.send(message(), key=KEY))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(KeyConflict, match="another message"):
        await devino.send(other, key=KEY)
    await sending
    with pytest.raises(KeyConflict, match="another message"):
        await devino.send(other, key=KEY)
    assert sent(service) == [message().to]


async def test_keys_with_and_without_share_no_request(service: Service, devino: DevinoClient) -> None:
    """A send without a key never waits for the journal, so it is in no request with keyed ones."""
    await asyncio.gather(*[devino.send(message(n), key=f"k{n}" if n % 2 else None) for n in range(100)])
    for _, _, _, body in service.requests:
        assert len({int(each["to"][-1]) % 2 for each in body["messages"]}) == 1
    assert len(sent(service)) == 100


async def test_after_not_sent_the_key_is_free(service: Service, devino: DevinoClient) -> None:
    """A key whose message was proved unsent may be sent again, and may even get another message."""

    async def refused(request: web.Request, body: Any) -> web.StreamResponse:
        return web.json_response({"code": "VALIDATION_ERROR", "description": "no", "reasons": []}, status=400)

    service.answering = refused
    assert isinstance(await devino.send(message(), key=KEY), NotSent)
    assert isinstance(await devino.send(message(), key=KEY), NotSent)
    service.answering = accept_all
    assert isinstance(await devino.send(message(1), key=KEY), Accepted)
    assert isinstance(await devino.send(message(1), key=KEY), Accepted)
    with pytest.raises(KeyConflict):
        await devino.send(message(), key=KEY)
    assert sent(service) == [message().to, message().to, message(1).to]


async def test_a_lost_answer_is_remembered(service: Service, devino: DevinoClient) -> None:
    """A keyed message in doubt is never sent again. Its receipt says why, at every call."""

    async def cut(request: web.Request, body: Any) -> web.StreamResponse:
        if "messages" in body:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"result": []})

    service.answering = cut
    first = await devino.send(message(), key=KEY)
    again = await devino.send(message(), key=KEY)
    assert isinstance(first, Unconfirmed)
    assert isinstance(again, Unconfirmed)
    assert again.error.problem == first.error.problem
    assert sent(service) == [message().to]


async def test_a_rejection_is_remembered(service: Service, devino: DevinoClient) -> None:
    """A rejected message is rejected at every call, with its reasons and without a request."""

    async def reject(request: web.Request, body: Any) -> web.StreamResponse:
        reasons = [{"key": "to.format.invalid", "ref": "to"}]
        return web.json_response({"result": [{"code": "REJECTED", "messageId": None, "reasons": reasons}]})

    service.answering = reject
    first = await devino.send(message(), key=KEY)
    assert isinstance(first, Rejected)
    assert await devino.send(message(), key=KEY) == first
    assert len(service.requests) == 1


async def test_a_cancelled_caller_leaves_the_others(service: Service, journal: CountingJournal) -> None:
    """If the first caller of a key is cancelled in mid-request, the others get the receipt of the one request."""
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request, body: Any) -> web.StreamResponse:
        arrived.set()
        await go_on.wait()
        return await accept_all(request, body)

    service.answering = slow
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        first = asyncio.create_task(devino.send(message(), key=KEY))
        await arrived.wait()
        others = [asyncio.create_task(devino.send(message(), key=KEY)) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        go_on.set()
        receipts = await asyncio.gather(*others)
    assert {type(each) for each in receipts} == {Accepted}
    assert sent(service) == [message().to]


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_cancelled_anywhere(service: Service, journal: CountingJournal, steps: int) -> None:
    """Wherever a caller is cancelled, its key is sent at most once, and the next call tells what became of it."""
    unclaimed: list[Receipt] = []
    async with DevinoClient("key", base_url=service.url, journal=journal, on_unclaimed=unclaimed.extend) as devino:
        first = asyncio.create_task(devino.send(message(), key=KEY))
        follower = asyncio.create_task(devino.send(message(), key=KEY))
        for _ in range(steps):
            await asyncio.sleep(0)
        first.cancel()
        assert isinstance(await follower, Accepted)
        assert isinstance(await devino.send(message(), key=KEY), Accepted)
    assert sent(service) == [message().to]


async def test_a_key_of_a_process_that_lives(service: Service, journal: CountingJournal, tmp_path: Path) -> None:
    """A key that another process is sending is waited for, and the receipt is the one that process got."""
    other, token = await claimed_elsewhere(tmp_path / "sms.journal", service, KEY, message())
    async with other, DevinoClient("key", base_url=service.url, journal=journal) as devino:
        sending = asyncio.create_task(devino.send(message(), key=KEY))
        while journal.calls["find"] < 3:
            await asyncio.sleep(0)
        _, results = pack_one(Accepted(message(), "4711"))
        await other.settle_keys(token, {KEY: (State.ACCEPTED, results)})
        assert await sending == Accepted(message(), "4711")
    assert sent(service) == []


async def test_a_key_claimed_between_look_up_and_claim(
    service: Service, journal: CountingJournal, tmp_path: Path
) -> None:
    """A key that another process claims at the last moment is taken out of the batch. The others are sent."""
    other, token = await claimed_elsewhere(tmp_path / "sms.journal", service, "k3", message(3))
    _, results = pack_one(Accepted(message(3), "4711"))
    async with other, DevinoClient("key", base_url=service.url, journal=journal) as devino:
        journal.stale = 1
        sending = [asyncio.create_task(devino.send(message(n), key=f"k{n}")) for n in range(10)]
        while journal.calls["claim"] < 2:
            await asyncio.sleep(0)
        await other.settle_keys(token, {"k3": (State.ACCEPTED, results)})
        receipts = await asyncio.gather(*sending)
    assert [each.message_id for each in receipts if isinstance(each, Accepted)] == [
        "4711" if n == 3 else message(n).to for n in range(10)
    ]
    assert sorted(sent(service)) == [message(n).to for n in range(10) if n != 3]


async def test_a_key_of_a_process_that_died(service: Service, journal: CountingJournal, tmp_path: Path) -> None:
    """A key whose process ended in mid-request is Unconfirmed, and is not sent again."""
    other, _ = await claimed_elsewhere(tmp_path / "sms.journal", service, KEY, message())
    await other.aclose()
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        receipt = await devino.send(message(), key=KEY)
    assert isinstance(receipt, Unconfirmed)
    assert receipt.error.problem == "the process that sent it ended before an answer came"
    assert sent(service) == []


async def test_a_key_at_another_address(service: Service, journal: CountingJournal, devino: DevinoClient) -> None:
    """A key belongs to one address: a trial in a sandbox never hides the real message."""
    await devino.send(message(), key=KEY)
    async with DevinoClient("key", base_url="http://localhost:9", journal=journal) as elsewhere:
        with pytest.raises(KeyConflict, match="another address"):
            await elsewhere.send(message(), key=KEY)


async def test_no_claim_no_send(service: Service, journal: CountingJournal, devino: DevinoClient) -> None:
    """If the claim cannot be written, `send` raises JournalFailed, nothing is sent, and the key stays free."""
    journal.failing = frozenset({"claim"})
    with pytest.raises(JournalFailed, match="Free some space"):
        await devino.send(message(), key=KEY)
    assert service.requests == []
    assert isinstance(await devino.send(message()), Accepted)
    journal.failing = frozenset()
    assert isinstance(await devino.send(message(), key=KEY), Accepted)


async def test_closing_in_the_middle(service: Service, journal: CountingJournal) -> None:
    """Closing the client in mid-request gives the callers their receipts, and the journal knows the same."""
    arrived = asyncio.Event()

    async def stuck(request: web.Request, body: Any) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    service.answering = stuck
    devino = DevinoClient("key", base_url=service.url, journal=journal)
    sending = [asyncio.create_task(devino.send(message(n), key=f"k{n}")) for n in range(5)]
    await arrived.wait()
    await devino.aclose(grace=0)
    receipts = await asyncio.gather(*sending)
    assert {type(each) for each in receipts} == {Unconfirmed}
    assert [each.state async for each in journal.keys(None)] == [State.UNCONFIRMED] * 5


async def test_listing(service: Service, journal: CountingJournal, devino: DevinoClient) -> None:
    """The journal lists keyed sends by key, all of them or those in one state."""
    await asyncio.gather(*[devino.send(message(n), key=f"k{n}") for n in range(3)])
    found = [each async for each in journal.keys(None)]
    assert [(each.key, each.state, each.message_id) for each in found] == [
        (f"k{n}", State.ACCEPTED, message(n).to) for n in range(3)
    ]
    assert [each async for each in journal.keys("unconfirmed")] == []


async def test_not_sent_at_a_wrong_address(service: Service, journal: CountingJournal) -> None:
    """A key of which nothing was sent is free at any address: the first one may have been a mistake."""

    async def refused(request: web.Request, body: Any) -> web.StreamResponse:
        return web.json_response({"code": "VALIDATION_ERROR", "description": "no", "reasons": []}, status=400)

    service.answering = refused
    wrong = service.url.replace("127.0.0.1", "localhost")
    async with DevinoClient("key", base_url=wrong, journal=journal) as devino:
        assert isinstance(await devino.send(message(), key=KEY), NotSent)
    service.answering = accept_all
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        assert isinstance(await devino.send(message(), key=KEY), Accepted)


async def test_an_outcome_that_is_not_written_yet(service: Service, journal: CountingJournal) -> None:
    """A client knows what became of its keys, even while the journal cannot be told."""

    async def failing(*arguments: Any) -> None:
        raise JournalFailed("the disk is full. Free some space")

    real = journal.settle_keys
    journal.settle_keys = failing  # type: ignore[method-assign]
    timeouts = Timeouts(total=1.0)
    async with DevinoClient("key", base_url=service.url, journal=journal, timeouts=timeouts) as devino:
        first = await devino.send(message(), key=KEY)
        assert await devino.send(message(), key=KEY) == first
        assert isinstance(first, Accepted)
        journal.settle_keys = real  # type: ignore[method-assign]
    assert [each.state async for each in journal.keys(None)] == [State.ACCEPTED]


async def test_only_receipts_go_to_the_hook(service: Service, journal: CountingJournal, tmp_path: Path) -> None:
    """If a caller is cancelled, and another process sends its key, the hook hears nothing that is not a receipt."""
    other, _ = await claimed_elsewhere(tmp_path / "sms.journal", service, KEY, message())
    unclaimed: list[Receipt] = []
    real = journal.claim_keys

    async def cancelling(*arguments: Any, **options: Any) -> Mapping[str, KeyRecord]:
        sending.cancel()
        return await real(*arguments, **options)

    journal.stale, journal.claim_keys = 1, cancelling  # type: ignore[method-assign]
    async with (
        other,
        DevinoClient("key", base_url=service.url, journal=journal, on_unclaimed=unclaimed.extend) as devino,
    ):
        sending = asyncio.create_task(devino.send(message(), key=KEY))
        await asyncio.wait({sending})
    assert sending.cancelled()
    assert unclaimed == []
    assert sent(service) == []
