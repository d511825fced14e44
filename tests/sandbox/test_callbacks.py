"""Status callbacks and incoming messages, received by a real server on loopback."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from asking import START, WIRE, Asking, Receiver, message

from devino_async.sandbox import ManualClock, Sandbox


async def test_callbacks(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """Every change of status is reported once, in order, with the options of the message."""
    made, url = receiver
    [item] = await asking.send(message(callbackUrl=url, options={"key1": "value1"}))
    for _ in range(6):
        await asking.sandbox.report()
        asking.clock.advance(10)
    events = [event for body in made.bodies for event in body]
    assert [event["status"] for event in events] == ["ACCEPTED", "ENROUTE", "SENT", "DELIVERED"]
    assert {event["messageId"] for event in events} == {item["messageId"]}
    assert events[0] == {
        "messageId": item["messageId"],
        "ts": int(START.timestamp() * 1000),
        "status": "ACCEPTED",
        "errorCode": 0,
        "options": {"key1": "value1"},
    }


async def test_a_callback_that_fails_comes_again(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """An address that does not answer 200 is asked again."""
    made, url = receiver
    await asking.send(message(callbackUrl=url))
    made.status = 500
    assert await asking.sandbox.report() == 0
    made.status = 200
    assert await asking.sandbox.report() == 1
    assert made.bodies[0] == made.bodies[1]


async def test_callbacks_stay_on_this_machine(asking: Asking) -> None:
    """The sandbox sends nothing to addresses that are not loopback."""
    await asking.send(message(callbackUrl="https://www.callback-url.com/"))
    await asking.sandbox.report()
    status, _ = await asking.ask("POST", "/sandbox/incoming", json={"url": "http://192.0.2.1/"})
    assert status == 400


async def test_incoming_messages(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """The control route has an incoming message in the page's form POSTed."""
    made, url = receiver
    asked = {"url": url, "message": {"text": "STOP"}}
    _, body = await asking.ask("POST", "/sandbox/incoming", json=asked)
    assert body["result"]["reached"] is True
    [incoming] = made.bodies
    assert (incoming["text"], incoming["ts"]) == ("STOP", str(int(START.timestamp() * 1000)))
    assert isinstance(incoming["incomingMessageId"], str)
