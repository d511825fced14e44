"""References: callbacks that say which message of a journal they are about, and settle it at once."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from account import Account
from loopback_service import Service
from stores import ADDRESS, LATER, Process, keyed, part_of

from devino_async import (
    Accepted,
    CallbackReceiver,
    ConfigurationError,
    DevinoClient,
    Message,
    StatusCallback,
    Unconfirmed,
    new_token,
)
from devino_async.campaigns import Journal, SQLiteJournal, State
from devino_async.campaigns.references import references_in, with_references
from devino_async.flow.steps import at_once
from devino_async.protocol.sending import encode

pytestmark = pytest.mark.usefixtures("no_leaks")
URL = "https://me.example/callbacks"
TOKEN = "ab" * 16


def message(number: int, **options: Any) -> Message:
    return Message(sender="MyCompany", to=f"7900{number:07}", text=f"text {number}", **options)


def event(message_id: str, reference: object) -> StatusCallback:
    return StatusCallback(
        message_id=message_id,
        timestamp=datetime.now(UTC),
        status="DELIVERED",
        options={"dv_ref": reference, "mine": "x"},
    )


@pytest.fixture
async def account(service: Service) -> Account:
    made = Account()
    service.answering = made
    return made


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(tmp_path / "sms.journal", references=True) as made:
        yield made


@pytest.fixture
async def devino(service: Service, journal: SQLiteJournal, account: Account) -> AsyncIterator[DevinoClient]:
    async with DevinoClient("key", base_url=service.url, journal=journal) as made:
        yield made


def bodies(service: Service) -> list[Any]:
    return [
        each for _, path, _, body in service.requests if path.startswith("/sms/messages") for each in body["messages"]
    ]


def references(service: Service) -> list[str]:
    return [each["options"]["dv_ref"] for each in bodies(service) if "dv_ref" in each.get("options", {})]


TRICKY = ['Say "callbackUrl": now', ',"options":{"dv_ref":"1"', '\\","callbackUrl":', "}", "", "\n"]


@pytest.mark.parametrize("text", [each or "x" for each in TRICKY])
@pytest.mark.parametrize("options", [None, {}, {"a": ',"options":{'}, {"dv_ref": "mine"}], ids=str)
def test_only_the_option_is_new(text: str, options: dict[str, str] | None) -> None:
    """Messages with a callback address get the option, whatever their texts hold, and nothing else changes."""
    some = [message(number, callback_url=URL if number % 2 else None, options=options) for number in range(3)]
    some = [Message(**{**_fields(each), "text": text}) for each in some]
    lines = [each.encode() for each in encode(some)]
    made = at_once(with_references([b",".join(lines[:2]), lines[2]], 3, TOKEN))
    for number, (before, after) in enumerate(zip(lines, json.loads(b"[%s]" % b",".join(made)), strict=True)):
        plain = json.loads(before)
        if number % 2 and "dv_ref" not in (options or {}):
            plain["options"] = {"dv_ref": f"{TOKEN}-{number}", **plain.get("options", {})}
        assert after == plain


def _fields(each: Message) -> dict[str, Any]:
    names = ("sender", "to", "text", "callback_url", "options")
    return {name: getattr(each, name) for name in names}


def test_what_names_nothing() -> None:
    """An option of this name that is not ours, or none at all, names no message."""
    for reference in (None, 5, "", "mine", f"{TOKEN}", f"{TOKEN}-", f"{TOKEN}-x", f"{TOKEN}-1 ", f"x{TOKEN}-1"):
        assert references_in([event("1", reference)]) == {}
    assert references_in([StatusCallback(message_id="1", timestamp=datetime.now(UTC), status="SENT")]) == {}
    assert references_in([event("1", f"{TOKEN}-1"), event("2", f"{TOKEN}-12")]) == {TOKEN: {1: "1", 12: "2"}}


async def test_it_is_in_the_body_only(devino: DevinoClient, service: Service, journal: SQLiteJournal) -> None:
    """Each message with a callback address has a reference of its own on the wire, and stays equal everywhere else."""
    some = [message(0), *(message(number, callback_url=URL, options={"mine": "x"}) for number in range(1, 5))]
    report = await devino.send_all(some, campaign="sale")
    assert [each.message for each in report.accepted] == some
    assert len(set(references(service))) == 4
    assert [each.get("options", {}).get("mine") for each in bodies(service)] == [None, "x", "x", "x", "x"]
    again = await devino.send_all(some, campaign="sale")
    assert again == report
    await devino.send(message(7, callback_url=URL))
    assert len(references(service)) == 4


async def test_never_unasked(service: Service, account: Account, tmp_path: Path) -> None:
    """Without the option of the journal nothing changes on the wire."""
    async with (
        SQLiteJournal(tmp_path / "plain.journal") as journal,
        DevinoClient("key", base_url=service.url, journal=journal) as devino,
    ):
        await devino.send_all([message(1, callback_url=URL)], campaign="sale")
        await devino.send(message(1, callback_url=URL), key="order")
    assert not references(service)


async def test_a_callback_settles_its_message(
    devino: DevinoClient, service: Service, account: Account, journal: SQLiteJournal
) -> None:
    """A callback that names what was in doubt makes it accepted, in campaigns and under keys, whenever it comes."""
    account.lost = {0, 1}
    some = [message(number, callback_url=URL) for number in range(3)]
    await devino.send_all(some, campaign="sale")
    assert isinstance(await devino.send(message(9, callback_url=URL), key="order"), Unconfirmed)
    ids = [each.message_id for each in account.stored]
    events = [event(*each) for each in zip(ids, references(service), strict=True)]
    for some_events in (events[1:2], events[:0], [*events[1:], *events[3:]]):
        await journal.on_status(some_events)
    outcomes = [(each.state, each.message_id) async for each in journal.outcomes("sale")]
    assert outcomes == [(State.UNCONFIRMED, None), (State.ACCEPTED, ids[1]), (State.ACCEPTED, ids[2])]
    receipt = await devino.send(message(9, callback_url=URL), key="order")
    assert isinstance(receipt, Accepted)
    assert receipt.message_id == ids[3]
    report = await devino.reconcile(campaign="sale")
    assert [each.message_id for each in report.settled] == ids[:1]


async def test_callbacks_that_come_together(
    devino: DevinoClient, service: Service, account: Account, journal: SQLiteJournal
) -> None:
    """Callbacks that come one by one while the journal writes are written together: a part is packed once for all."""
    account.lost = {0}
    some = [message(number, callback_url=URL) for number in range(60)]
    await devino.send_all(some, campaign="sale")
    events = [event(each.message_id, of) for each, of in zip(account.stored, references(service), strict=True)]
    before = await journal._file.do(lambda connection: connection.total_changes)
    calls = [asyncio.create_task(journal.on_status([each])) for each in events]
    await asyncio.sleep(0)
    calls[0].cancel()
    told = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in told] == [asyncio.CancelledError, *[type(None)] * 59]
    changes = await journal._file.do(lambda connection: connection.total_changes) - before
    assert changes < 60 + 10, "each id once, and few changes of the part and the campaign"
    again = await devino.send_all(some, campaign="sale")
    assert [each.message_id for each in again.accepted] == [each.message_id for each in account.stored]


async def test_callbacks_that_concern_nothing(devino: DevinoClient, account: Account, journal: SQLiteJournal) -> None:
    """References of another journal, of no message, or with an id that serves another message change nothing."""
    account.lost = {0}
    await devino.send_all([message(1, callback_url=URL), message(2, callback_url=URL)], campaign="sale")
    [doubt] = [each async for each in journal.evidence.in_doubt(f"http://{devino._base_url[7:]}")]
    await journal.on_status([event("1", f"{TOKEN}-0"), event("2", f"{doubt.token}-2"), event("3", "x")])
    assert (await journal.campaigns())[0].unconfirmed == 2
    await journal.on_status([event("5", f"{doubt.token}-0")])
    await journal.on_status([event("6", f"{doubt.token}-0"), event("5", f"{doubt.token}-1")])
    assert [each.message_id async for each in journal.outcomes("sale")] == ["5", None]


async def test_a_callback_before_the_answer(
    devino: DevinoClient, service: Service, account: Account, journal: SQLiteJournal
) -> None:
    """A callback may come before the answer. The answer then changes nothing of it, and settles the others."""
    arrived, answer = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        arrived.set()
        await answer.wait()

    account.hold = hold
    some = [message(number, callback_url=URL) for number in range(2)]
    sending = asyncio.create_task(devino.send_all(some, campaign="sale"))
    await arrived.wait()
    await journal.on_status([event(account.stored[0].message_id, references(service)[0])])
    [state] = await journal.campaigns()
    assert (state.accepted, state.in_flight) == (1, 1)
    answer.set()
    report = await sending
    assert [each.message_id for each in report.accepted] == [each.message_id for each in account.stored]
    [state] = await journal.campaigns()
    assert (state.accepted, state.finished) == (2, True)


async def test_a_kill_between_callback_and_answer(process: Callable[[], Process], journal: SQLiteJournal) -> None:
    """What a callback settled stays settled if the sending process then dies. Only the rest is in doubt."""
    sender = process()
    run = sender.call("begin", "sale", ADDRESS)
    sender.call("claim", run, part_of(range(2), TOKEN))
    send = keyed("order")
    body = send.body[:-1] + b',"options":{"dv_ref":"%s-0"}}' % (b"cd" * 16)
    sender.call(
        "claim_keys", "cd" * 16, ADDRESS, [type(send)(key="order", fingerprint=send.fingerprint, body=body)], LATER
    )
    await journal.on_status([event("5", f"{TOKEN}-1"), event("6", f"{'cd' * 16}-0")])
    sender.kill()
    [state] = await journal.campaigns()
    assert (state.accepted, state.unconfirmed) == (1, 1)
    assert [each.message_id async for each in journal.keys("accepted")] == ["6"]


async def test_several_hooks(devino: DevinoClient, service: Service, account: Account, journal: SQLiteJournal) -> None:
    """One receiver feeds several hooks. Each gets the events though another raises, and the sender hears of that."""
    account.lost = {0}
    await devino.send_all([message(1, callback_url=URL)], campaign="sale")
    seen = []

    async def note(events: Any) -> None:
        seen.append(len(events))
        raise ValueError

    token = new_token()
    receiver = CallbackReceiver(token=token, on_status=[note, journal.on_status, note])
    body = {
        "messageId": account.stored[0].message_id,
        "ts": 1_700_000_000_000,
        "status": "DELIVERED",
        "options": {"dv_ref": references(service)[0]},
    }
    assert await receiver.handle("POST", token, {}, json.dumps([body]).encode()) == (500, b"")
    assert seen == [1, 1]
    assert (await journal.campaigns())[0].accepted == 1
    await receiver.aclose()


@pytest.mark.parametrize("hooks", [[], [None], [5], "no"], ids=str)
def test_hooks_that_cannot_work(hooks: Any) -> None:
    """A list of hooks must hold coroutines, at least one."""
    with pytest.raises(ConfigurationError):
        CallbackReceiver(token=new_token(), on_status=hooks)


def _is_a_journal(made: SQLiteJournal) -> Journal:
    return made


@pytest.mark.parametrize("how", ["resend", "assume_sent"])
async def test_a_callback_after_a_decision(
    devino: DevinoClient, service: Service, account: Account, journal: SQLiteJournal, how: Any
) -> None:
    """A callback still settles what a person wants to send again, and nothing is sent. What counts as sent stays so."""
    account.lost = {0}
    some = [message(1, callback_url=URL)]
    await devino.send_all(some, campaign="sale")
    await journal.resolve("sale", how)
    await journal.on_status([event(account.stored[0].message_id, references(service)[0])])
    [state] = await journal.campaigns()
    assert (state.accepted, state.assumed_sent) == ((1, 0) if how == "resend" else (0, 1))
    await devino.send_all(some, campaign="sale")
    assert account.sends == 1


@pytest.mark.parametrize("how", ["resend", "assume_sent"])
async def test_a_callback_of_a_key_after_a_decision(
    devino: DevinoClient, service: Service, account: Account, journal: SQLiteJournal, how: Any
) -> None:
    """The same holds for a key: a callback settles one that was set free, and its next send gives that receipt."""
    account.lost = {0}
    await devino.send(message(1, callback_url=URL), key="order")
    assert await journal.resolve_key("order", how)
    await journal.on_status([event(account.stored[0].message_id, references(service)[0])])
    receipt = await devino.send(message(1, callback_url=URL), key="order")
    assert isinstance(receipt, Accepted if how == "resend" else Unconfirmed)
    assert account.sends == 1


@pytest.mark.parametrize("how", ["forget", "prune"])
async def test_a_callback_of_what_is_gone(
    devino: DevinoClient, service: Service, account: Account, journal: SQLiteJournal, how: str
) -> None:
    """A callback about a campaign or a key that was forgotten or pruned changes nothing, and is no error."""
    account.lost = {0, 1} if how == "forget" else set()
    await devino.send_all([message(1, callback_url=URL)], campaign="sale")
    await devino.send(message(2, callback_url=URL), key="order")
    if how == "forget":
        await journal.forget("sale", even_unconfirmed=True)
        await journal.resolve_key("order", "assume_sent")
    else:
        assert await journal.prune(timedelta(seconds=-1)) == (1, 1)
    before = [each async for each in journal.keys(None)]
    ids = [each.message_id for each in account.stored]
    await journal.on_status([event(*each) for each in zip(ids, references(service), strict=True)])
    assert await journal.campaigns() == ()
    assert [each async for each in journal.keys(None)] == before


async def test_forged_callbacks(
    devino: DevinoClient, service: Service, account: Account, journal: SQLiteJournal
) -> None:
    """Without the token nothing reaches the journal. With it, a reference of no claim changes nothing."""
    account.lost = {0}
    await devino.send_all([message(1, callback_url=URL)], campaign="sale")
    token, [reference] = new_token(), references(service)
    receiver = CallbackReceiver(token=token, on_status=[journal.on_status])

    def body(reference: str) -> bytes:
        made = {"messageId": "5", "ts": 1_700_000_000_000, "status": "DELIVERED", "options": {"dv_ref": reference}}
        return json.dumps([made]).encode()

    for forged in ("", "x" * 43, new_token(), token[:-1]):
        assert (await receiver.handle("POST", forged, {}, body(reference)))[0] == 404
    for unknown in (f"{TOKEN}-0", f"{reference}9", reference.upper(), "order", "0" * 5_000):
        assert (await receiver.handle("POST", token, {}, body(unknown)))[0] == 200
    assert (await journal.campaigns())[0].unconfirmed == 1
    for _ in range(2):
        assert (await receiver.handle("POST", token, {}, body(reference)))[0] == 200
        assert [each.message_id async for each in journal.outcomes("sale")] == ["5"]
    await receiver.aclose()
