"""Runs of campaigns with a real journal against a real service on loopback."""

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback_service import Service, accept_all

from devino_async import (
    Accepted,
    ConfigurationError,
    DevinoClient,
    DevinoError,
    Message,
    NotSent,
    OutcomeUnknown,
    Receipt,
    Rejected,
    Unauthorized,
    Unconfirmed,
)
from devino_async.campaigns import (
    CampaignBusy,
    CampaignChanged,
    CampaignState,
    JournalFailed,
    SQLiteJournal,
    State,
)

pytestmark = pytest.mark.usefixtures("no_leaks")
NAME = "spring-sale"


def messages(count: int, first: int = 0) -> list[Message]:
    return [
        Message(sender="MyCompany", to=f"7900{number:07}", text=f"text {number}")
        for number in range(first, first + count)
    ]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(tmp_path / "sms.journal") as made:
        yield made


async def run(
    service: Service, journal: SQLiteJournal, some: Iterable[Message], batch_size: int = 100, **options: Any
) -> list[Receipt]:
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        return [each async for each in devino.send_many(some, campaign=NAME, batch_size=batch_size, **options)]


async def state_of(journal: SQLiteJournal) -> CampaignState:
    [state] = await journal.campaigns()
    assert state.messages == sum(getattr(state, each.value) for each in State), "the states must add up to the messages"
    return state


def sent(service: Service) -> list[str]:
    """All recipients in all requests, in the order of their arrival."""
    return [each["to"] for method, path, _, body in service.requests for each in body["messages"]]


def refuses(*numbers: int) -> Any:
    """Answer 400, which proves that nothing was processed, to the requests with these numbers."""
    return answers(dict.fromkeys(numbers, _refused))


def cuts(*numbers: int) -> Any:
    """Accept the requests with these numbers and lose the answer."""
    return answers(dict.fromkeys(numbers, _cut))


def answers(by_number: dict[int, Any]) -> Any:
    count = 0

    async def answer(request: web.Request, body: Any) -> web.StreamResponse:
        nonlocal count
        if "messages" not in body:
            return web.json_response({"result": []})
        count += 1
        return await by_number.get(count - 1, accept_all)(request, body)  # type: ignore[no-any-return]

    return answer


async def _refused(request: web.Request, body: Any) -> web.StreamResponse:
    return web.json_response({"code": "VALIDATION_ERROR", "description": "no", "reasons": []}, status=400)


async def _cut(request: web.Request, body: Any) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def gathered(stream: AsyncIterator[Receipt]) -> tuple[list[Receipt], Exception | None]:
    """All receipts of a stream, and what it raised after them."""
    receipts: list[Receipt] = []
    try:
        async for each in stream:
            receipts.append(each)  # noqa: PERF401 - what came before the error counts
    except DevinoError as error:
        return receipts, error
    return receipts, None


def kinds(receipts: Sequence[Receipt]) -> list[type]:
    return [type(each) for each in receipts]


async def test_a_finished_campaign_is_replayed(service: Service, journal: SQLiteJournal) -> None:
    """Running the same campaign again gives the same receipts and makes no request."""
    some = messages(950)
    first = await run(service, journal, some)
    requests = len(service.requests)
    again = await run(service, journal, some)
    assert again == first
    assert kinds(first) == [Accepted] * 950
    assert len(service.requests) == requests
    assert (await state_of(journal)).finished


@pytest.mark.parametrize("batch_size", [70, 100, 1_000])
async def test_the_batch_size_may_change(service: Service, journal: SQLiteJournal, batch_size: int) -> None:
    """A campaign that stopped continues with batches of another size. Each message is sent exactly once."""
    some = messages(950)
    first = await run(service, journal, some[:430])
    again = await run(service, journal, some, batch_size=batch_size)
    assert again[:430] == first
    assert sent(service) == [each.to for each in some]


async def test_an_input_may_grow(service: Service, journal: SQLiteJournal) -> None:
    """New messages at the end of the input are sent, and only these."""
    some = messages(300)
    await run(service, journal, some)
    await run(service, journal, [*some, *messages(50, first=300)])
    assert sorted(sent(service)) == [each.to for each in messages(350)]


@pytest.mark.parametrize("place", [0, 99, 100, 250])
async def test_a_changed_input_stops_before_the_change(service: Service, journal: SQLiteJournal, place: int) -> None:
    """Nothing at or after the first difference is sent, and every message that was read has its receipt."""
    some = messages(300)
    await run(service, journal, some)
    changed = [*some, *messages(200, first=300)]
    changed[place] = messages(1, first=999)[0]
    before = len(service.requests)
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        receipts, error = await gathered(devino.send_many(changed, campaign=NAME, batch_size=100))
        assert isinstance(error, CampaignChanged)
    assert (error.position, error.reason) == (place, "message")
    assert len(service.requests) == before
    assert kinds(receipts[:place]) == [Accepted] * place
    # Whether an earlier run sent what stands behind is not looked up, so nothing is called unsent.
    assert set(kinds(receipts[place:])) == {Unconfirmed}
    assert [each.message for each in receipts] == changed[: len(receipts)]


async def test_an_input_may_not_shrink(service: Service, journal: SQLiteJournal) -> None:
    """An input with fewer messages than are recorded is refused as changed, once all its receipts were given."""
    some = messages(300)
    await run(service, journal, some)
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        receipts, error = await gathered(devino.send_many(some[:120], campaign=NAME))
        assert isinstance(error, CampaignChanged)
    assert (error.position, error.reason) == (120, "shorter")
    assert kinds(receipts) == [Accepted] * 120


async def test_what_was_not_sent_is_sent_by_the_next_run(service: Service, journal: SQLiteJournal) -> None:
    """NotSent is sent by running the campaign again, and the receipts stay in order."""
    service.answering = refuses(1, 4)
    some = messages(600)
    first = await run(service, journal, some)
    assert kinds(first).count(NotSent) == 200
    state = await state_of(journal)
    assert (state.not_sent, state.finished) == (200, False)
    service.requests.clear()
    again = await run(service, journal, some)
    assert kinds(again) == [Accepted] * 600
    assert [each.message for each in again] == some
    assert sorted(sent(service)) == sorted(each.message.to for each in first if isinstance(each, NotSent))
    assert (await state_of(journal)).finished


async def test_scattered_messages_share_a_batch(service: Service, journal: SQLiteJournal) -> None:
    """What earlier runs did not send is gathered from many places into few requests."""
    service.answering = refuses(*range(0, 30, 3))
    some = messages(300)
    await run(service, journal, some, batch_size=10)
    service.requests.clear()
    again = await run(service, journal, some, batch_size=50)
    assert kinds(again) == [Accepted] * 300
    assert len(sent(service)) == 100
    assert len(service.requests) <= 3


async def test_what_is_in_doubt_is_never_sent_again(service: Service, journal: SQLiteJournal) -> None:
    """A message whose answer was lost stays Unconfirmed at every run, with the recorded words."""
    service.answering = cuts(2)
    some = messages(600)
    first = await run(service, journal, some)
    doubted = [each for each in first if isinstance(each, Unconfirmed)]
    assert len(doubted) == 100
    service.requests.clear()
    again = await run(service, journal, some)
    assert service.requests == []
    assert kinds(again) == kinds(first)
    for one, other in zip(doubted, (each for each in again if isinstance(each, Unconfirmed)), strict=True):
        assert isinstance(other.error, OutcomeUnknown)
        assert (other.message, other.error.problem) == (one.message, one.error.problem)
    state = await state_of(journal)
    assert (state.unconfirmed, state.finished) == (100, False)


async def test_a_fatal_error_ends_a_run_and_not_the_campaign(service: Service, journal: SQLiteJournal) -> None:
    """A run that ends with Unauthorized gives a receipt for all that was read, and the next run sends the rest."""

    async def unauthorized(request: web.Request, body: Any) -> web.StreamResponse:
        return web.Response(status=401)

    service.answering = answers({2: unauthorized})
    some = messages(600)
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        receipts, error = await gathered(devino.send_many(some, campaign=NAME, batch_size=100))
        assert isinstance(error, Unauthorized)
    accepted = {each.message.to for each in receipts if isinstance(each, Accepted)}
    service.requests.clear()
    assert kinds(await run(service, journal, some)) == [Accepted] * 600
    assert set(sent(service)) == {each.to for each in some} - accepted


async def test_another_address_is_another_campaign(service: Service, journal: SQLiteJournal) -> None:
    """A trial at one address never hides the real run: the name is refused at another address."""
    await run(service, journal, messages(10))
    async with DevinoClient("key", base_url="http://localhost:9", journal=journal) as devino:
        with pytest.raises(CampaignChanged) as raised:
            await devino.send_all(messages(10), campaign=NAME)
    assert raised.value.reason == "address"


async def test_two_runs_at_once(service: Service, journal: SQLiteJournal) -> None:
    """A second run of a campaign that is under way is refused, and may begin as soon as the first has ended."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        stream = devino.send_many(messages(300), campaign=NAME, batch_size=100)
        await anext(stream)
        with pytest.raises(CampaignBusy):
            await devino.send_all(messages(300), campaign=NAME)
        rest = [each async for each in stream]
        report = await devino.send_all(messages(300), campaign=NAME)
    assert len(rest) == 299
    assert report.total == len(report.accepted) == 300
    assert len(sent(service)) == 300


async def test_a_consumer_that_leaves(service: Service, journal: SQLiteJournal) -> None:
    """What was in flight when the consumer left is recorded, and the next run sends only what never began."""
    unclaimed: list[Receipt] = []
    async with DevinoClient("key", base_url=service.url, journal=journal, on_unclaimed=unclaimed.extend) as devino:
        stream = devino.send_many(messages(2_000), campaign=NAME, batch_size=100)
        await anext(stream)
        await stream.aclose()
    assert (await state_of(journal)).accepted == len(sent(service)) < 2_000
    again = await run(service, journal, messages(2_000))
    assert kinds(again) == [Accepted] * 2_000
    assert sorted(sent(service)) == [each.to for each in messages(2_000)]


async def test_a_client_that_is_closed(service: Service, journal: SQLiteJournal) -> None:
    """Closing the client in the middle of a run leaves each message in a known state, and the next run finishes it."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        stream = devino.send_many(messages(2_000), campaign=NAME, batch_size=100)
        await anext(stream)
        await devino.aclose(grace=0)
        await stream.aclose()
    state = await state_of(journal)
    assert state.in_flight == 0
    again = await run(service, journal, messages(2_000))
    assert kinds(again).count(Accepted) + kinds(again).count(Unconfirmed) == 2_000
    assert len(sent(service)) == len(set(sent(service)))


@pytest.mark.parametrize("seed", range(5))
async def test_by_content_in_any_order(service: Service, journal: SQLiteJournal, seed: int) -> None:
    """With `only_new` a message is recognised anywhere, equal ones are counted, and only new ones are sent."""
    chance = random.Random(seed)
    some = [*messages(500), *messages(40), *messages(40)]
    chance.shuffle(some)
    first = await run(service, journal, some, only_new=True)
    edited = [*some, *messages(30), *messages(60, first=500)]
    chance.shuffle(edited)
    service.requests.clear()
    again = await run(service, journal, edited, batch_size=130, only_new=True)
    assert kinds(again) == [Accepted] * len(edited)
    assert [each.message for each in again] == edited
    assert sorted(sent(service)) == sorted(each.to for each in [*messages(30), *messages(60, first=500)])
    assert len(first) == len(some)
    assert (await state_of(journal)).messages == len(edited)


async def test_rows_may_be_gone_by_content(service: Service, journal: SQLiteJournal) -> None:
    """With `only_new` an input may lose messages. If these come back later, they are not sent again."""
    await run(service, journal, messages(300), only_new=True)
    await run(service, journal, messages(100), only_new=True)
    await run(service, journal, messages(300), only_new=True)
    assert len(sent(service)) == 300


async def test_a_missed_time_is_recorded(service: Service, journal: SQLiteJournal) -> None:
    """A message that is too late at its first send is rejected for good: a replay does not look at the clock."""
    late = Message(
        sender="MyCompany", to="79001234567", text="late", scheduled_time=datetime.now(UTC) - timedelta(hours=1)
    )
    some = [*messages(5), late, *messages(5, first=5)]
    first = await run(service, journal, some)
    assert kinds(first) == [*[Accepted] * 5, Rejected, *[Accepted] * 5]
    again = await run(service, journal, some)
    assert again == first
    assert (await state_of(journal)).rejected == 1
    assert (await state_of(journal)).finished


class FailingJournal(SQLiteJournal):
    """A journal on a disk that fails as the test says."""

    failing: frozenset[str] = frozenset()

    async def claim(self, *arguments: Any) -> None:
        if "claim" in self.failing:
            raise JournalFailed("the disk is full. Free some space")
        await super().claim(*arguments)

    async def settle(self, *arguments: Any) -> None:
        if "settle" in self.failing:
            raise JournalFailed("the disk is full. Free some space")
        await super().settle(*arguments)


async def test_no_claim_no_send(service: Service, tmp_path: Path) -> None:
    """If a claim cannot be written nothing is sent. All that was read is NotSent, and the run ends with the reason."""
    async with FailingJournal(tmp_path / "sms.journal") as journal:
        journal.failing = frozenset({"claim"})
        async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
            receipts, error = await gathered(devino.send_many(messages(300), campaign=NAME, batch_size=100))
            assert isinstance(error, JournalFailed)
        assert set(kinds(receipts)) == {NotSent}
        assert service.requests == []
        journal.failing = frozenset()
        assert kinds(await run(service, journal, messages(300))) == [Accepted] * 300


async def test_a_settle_that_fails_loses_no_receipt(service: Service, tmp_path: Path) -> None:
    """Receipts that cannot be written reach the caller. Closing raises an error, and a later run sees Unconfirmed."""
    async with FailingJournal(tmp_path / "sms.journal") as journal:
        journal.failing = frozenset({"settle"})
        devino = DevinoClient("key", base_url=service.url, journal=journal)
        receipts = [each async for each in devino.send_many(messages(300), campaign=NAME, batch_size=100)]
        assert kinds(receipts) == [Accepted] * 300
        with pytest.raises(JournalFailed, match="3 requests could not be written"):
            await devino.aclose()
    async with SQLiteJournal(tmp_path / "sms.journal") as journal:
        assert kinds(await run(service, journal, messages(300))) == [Unconfirmed] * 300
    assert len(sent(service)) == 300


async def test_a_settle_that_succeeds_later(service: Service, tmp_path: Path) -> None:
    """An outcome that could not be written at first is written later: at the latest when the client is closed."""
    async with FailingJournal(tmp_path / "sms.journal") as journal:
        journal.failing = frozenset({"settle"})
        async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
            receipts = [each async for each in devino.send_many(messages(300), campaign=NAME, batch_size=100)]
            journal.failing = frozenset()
        assert await run(service, journal, messages(300)) == receipts


async def test_damaged_results_are_no_proof(service: Service, journal: SQLiteJournal, tmp_path: Path) -> None:
    """A record that cannot be read gives Unconfirmed and ends the run. It is never sent again, nor receipts made up."""

    class Damaged(SQLiteJournal):
        async def records(self, *arguments: Any) -> Any:
            from attrs import evolve

            return [evolve(each, results=each.results[:-9]) for each in await super().records(*arguments)]

    await run(service, journal, messages(100))
    async with Damaged(tmp_path / "sms.journal") as damaged:
        async with DevinoClient("key", base_url=service.url, journal=damaged) as devino:
            receipts, error = await gathered(devino.send_many(messages(150), campaign=NAME, batch_size=50))
            assert isinstance(error, JournalFailed)
    assert set(kinds(receipts)) <= {Unconfirmed, NotSent, Accepted}
    assert set(kinds(receipts[:50])) == {Unconfirmed}
    assert len([each for each in sent(service) if each < messages(1, first=100)[0].to]) == 100


@pytest.mark.parametrize("options", [{"campaign": "x"}, {"campaign": "x", "only_new": True}])
async def test_a_campaign_needs_a_journal(service: Service, options: dict[str, Any]) -> None:
    """A campaign without a journal is refused, because nothing could be remembered."""
    async with DevinoClient("key", base_url=service.url) as devino:
        with pytest.raises(ConfigurationError, match="campaign needs a journal"):
            devino.send_many(messages(1), **options)
        with pytest.raises(ConfigurationError, match="key needs a journal"):
            await devino.send(messages(1)[0], key="x")


@pytest.mark.parametrize("name", ["", "x" * 256, "a\nb", 5])
async def test_names_are_checked(service: Service, journal: SQLiteJournal, name: Any) -> None:
    """A name that is empty, too long or not printable is refused before anything is sent."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        with pytest.raises(ConfigurationError, match="campaign"):
            devino.send_many(messages(1), campaign=name)
        with pytest.raises(ConfigurationError, match="key"):
            await devino.send(messages(1)[0], key=name)


async def test_only_new_needs_a_campaign(service: Service) -> None:
    """`only_new` without a campaign is refused, because without one every message is new."""
    async with DevinoClient("key", base_url=service.url) as devino:
        with pytest.raises(ConfigurationError, match="only_new"):
            devino.send_many(messages(1), only_new=True)


async def test_outcomes(service: Service, journal: SQLiteJournal) -> None:
    """The journal tells what became of each message, by position, however many runs it took."""
    service.answering = answers({1: _refused, 3: _cut})
    some = messages(500)
    await run(service, journal, some)
    service.answering = accept_all
    await run(service, journal, some, batch_size=130)
    found = [each async for each in journal.outcomes(NAME)]
    assert [each.position for each in found] == list(range(500))
    assert [each.state for each in found[300:400]] == [State.UNCONFIRMED] * 100
    assert {each.state for each in found[:300] + found[400:]} == {State.ACCEPTED}
    assert found[120].message_id == some[120].to


async def test_without_a_key_the_journal_is_not_asked(service: Service, tmp_path: Path) -> None:
    """Sends without a key or campaign work even if the journal has failed."""
    async with FailingJournal(tmp_path / "sms.journal") as journal:
        journal.failing = frozenset({"claim", "settle"})
        async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
            assert isinstance(await devino.send(messages(1)[0]), Accepted)
            assert len((await devino.send_all(messages(10))).accepted) == 10
