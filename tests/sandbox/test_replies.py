"""Replies: incoming messages that the sandbox POSTs to a receiver on loopback."""

import asyncio
from typing import Any

import pytest
from asking import START, Asking, Receiver, message

from devino_async.sandbox import Sandbox

PATH = "/_sandbox/replies"
PHONE = "79000000001"


async def test_a_reply_goes_where_the_callbacks_go(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """A reply goes to the last callbackUrl of a message to that phone, and to the sender of that message."""
    made, url = receiver
    await asking.send(message(callbackUrl=url, **{"from": "Shop"}), message())
    reply = await asking.sandbox.reply(f"+{PHONE}", "STOP")
    assert (reply.reached, reply.status, reply.url, reply.to) == (True, 200, url, "Shop")
    [incoming] = made.bodies
    assert incoming["incomingMessageId"] == reply.incoming_message_id
    assert (incoming["from"], incoming["to"], incoming["text"]) == (PHONE, "Shop", "STOP")
    assert incoming["ts"] == str(round(START.timestamp() * 1000))


async def test_a_reply_that_is_not_taken(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """What the receiver answered is in the reply, or None if there was no answer. It is not tried again."""
    made, url = receiver
    made.status = 500
    _, body = await asking.ask("POST", PATH, json={"from": PHONE, "to": "Shop", "text": "STOP", "url": url})
    assert (body["result"]["status"], body["result"]["reached"]) == (500, False)
    nowhere = await asking.sandbox.reply(PHONE, "STOP", url="http://127.0.0.1:9/")
    assert (nowhere.status, nowhere.reached, len(made.bodies)) == (None, False, 1)


async def test_replies_at_once(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """Replies that are made at once have ids of their own, and each reaches its receiver."""
    made, url = receiver
    replies = await asyncio.gather(*(asking.sandbox.reply(PHONE, str(n), url=url) for n in range(20)))
    assert len({each.incoming_message_id for each in replies}) == len(made.bodies) == 20


async def test_replies_are_kept(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """Replies are listed, the newest first, by phone and by pages, until the sandbox is cleared."""
    _, url = receiver
    for number in range(3):
        await asking.sandbox.reply(f"7900000000{number % 2}", f"Text {number}", url=url)
    _, body = await asking.ask("GET", f"{PATH}?limit=2")
    assert [each["text"] for each in body["result"]["replies"]] == ["Text 2", "Text 1"]
    last = body["result"]["replies"][-1]["incomingMessageId"]
    _, body = await asking.ask("GET", f"{PATH}?before={last}&from=79000000000")
    assert ([each["text"] for each in body["result"]["replies"]], body["result"]["more"]) == (["Text 0"], False)
    await asking.sandbox.clear()
    _, body = await asking.ask("GET", PATH)
    assert body["result"]["replies"] == []


async def test_an_address_for_all(receiver: tuple[Receiver, str]) -> None:
    """`incoming_url` is where a reply goes if no message named an address."""
    made, url = receiver
    async with Sandbox(incoming_url=url) as sandbox:
        assert (await sandbox.reply(PHONE, "Hello")).to == "MyCompany"
    assert len(made.bodies) == 1


@pytest.mark.parametrize(
    ("wrong", "name"),
    [({}, "url"), ({"from": ""}, "from"), ({"from": 7}, "from"), ({"text": " "}, "text"), ({"to": 1}, "to")]
    + [({"url": "http://192.0.2.1/"}, "url"), ({"url": 1}, "url")],
)
async def test_replies_that_cannot_be(asking: Asking, wrong: dict[str, Any], name: str) -> None:
    """A value that cannot be, or an address that is missing or not on this machine, is refused by name."""
    status, body = await asking.ask("POST", PATH, json={"from": PHONE, "text": "STOP", **wrong})
    assert (status, body["reasons"][0]["ref"]) == (400, name)
    with pytest.raises(ValueError, match=name):
        await asking.sandbox.reply(
            **{"sender": PHONE, "text": "STOP"} | {"sender" if k == "from" else k: v for k, v in wrong.items()}
        )
    status, _ = await asking.ask("POST", PATH, json=[])
    assert status == 400
