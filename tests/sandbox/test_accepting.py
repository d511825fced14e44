"""POST /sms/messages: what is accepted, what is rejected with which key, and what is refused as a whole."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from asking import START, WIRE, Asking, Receiver, message

from devino_async.sandbox import ManualClock, Sandbox


async def test_the_page_s_own_request(asking: Asking) -> None:
    """The page's example of a request is accepted as it stands, and waits for its time."""
    body = (WIRE / "send_request.json").read_bytes()
    status, answer = await asking.ask("POST", "/sms/messages?includeSegmentId=true", data=body)
    assert status == 200
    [item] = answer["result"]
    assert item["code"] == "OK"
    assert item["segmentsId"] == [item["messageId"]]
    assert int(item["messageId"]) > 2**53
    assert await asking.statuses(item["messageId"]) == {item["messageId"]: "SCHEDULED"}
    asking.clock.advance(3600)
    assert await asking.statuses(item["messageId"]) == {item["messageId"]: "DELIVERED"}


@pytest.mark.parametrize(
    ("fields", "key", "ref"),
    [
        ({"from": ""}, "not.available", "from"),
        ({"from": "Unknown"}, "not.available", "from"),
        ({"to": "string"}, "to.format.invalid", "to"),
        ({"to": "+79000000001"}, "to.format.invalid", "to"),
        ({"scheduledTime": "tomorrow"}, "scheduledTime.is.invalid", "scheduledTime"),
        ({"scheduledTime": 1662713547}, "scheduledTime.is.invalid", "scheduledTime"),
        ({"text": "Я" * 17_086}, "text.length.too.long", "text"),
        ({"text": "x" * 34_171}, "text.length.too.long", "text"),
        ({"validity": 259_201}, "validity.is.invalid", "validity"),
        ({"validity": -1}, "validity.is.invalid", "validity"),
        ({"validity": True}, "validity.is.invalid", "validity"),
        ({"priority": "URGENT"}, "priority.is.not.match", "priority"),
        ({"priority": 3}, "priority.is.not.match", "priority"),
        ({"callbackUrl": "ftp://example.com"}, "callbackUrl.format.invalid", "callbackUrl"),
    ],
)
async def test_the_seven_keys(asking: Asking, fields: dict[str, Any], key: str, ref: str) -> None:
    """A bad message is rejected with the page's key and reference, and the good one beside it is accepted."""
    good, bad = await asking.send(message(), message(**fields))
    assert good["code"] == "OK"
    assert (bad["code"], bad["messageId"], bad["segmentsId"]) == ("REJECTED", None, None)
    assert [(reason["key"], reason["ref"]) for reason in bad["reasons"]] == [(key, f"messages[1].{ref}")]
    assert await asking.sandbox.count() == 1


async def test_texts_at_the_limit(asking: Asking) -> None:
    """The longest texts that the page allows are accepted."""
    for text in ("Я" * 17_085, "x" * 34_170):
        [item] = await asking.send(message(text=text))
        assert item["code"] == "OK"


@pytest.mark.parametrize("body", ["", "nonsense", "[]", "{}", '{"messages": 5}', "[" * 100_000])
async def test_what_is_no_request(asking: Asking, body: str) -> None:
    """A body that is no request is a refused call, in the service's envelope."""
    status, answer = await asking.ask("POST", "/sms/messages", data=body)
    assert status == 400
    assert answer["result"] is None
    assert answer["reasons"][0]["key"]


async def test_32_000_at_once_and_no_more(asking: Asking) -> None:
    """One POST takes 32,000 messages; 32,001 are refused as a whole."""
    body = io.BytesIO(json.dumps({"messages": [message()] * 32_000}).encode())
    _, answer = await asking.ask("POST", "/sms/messages", data=body)
    items = answer["result"]
    assert len({item["messageId"] for item in items}) == 32_000
    body = io.BytesIO(json.dumps({"messages": [message()] * 32_001}).encode())
    status, answer = await asking.ask("POST", "/sms/messages", data=body)
    assert (status, answer["reasons"][0]["key"]) == (400, "too.many.messages")
    assert await asking.sandbox.count() == 32_000


async def test_a_big_post_stalls_nobody(asking: Asking) -> None:
    """While 32,000 messages are taken in, the sandbox goes on answering others."""
    body = io.BytesIO(json.dumps({"messages": [message()] * 32_000}).encode())
    big = asyncio.create_task(asking.ask("POST", "/sms/messages", data=body))
    answered = 0
    while not big.done():
        await asking.ask("GET", "/billing-api/companies/current/account")
        answered += 1
    assert (await big)[0] == 200
    assert answered > 2
