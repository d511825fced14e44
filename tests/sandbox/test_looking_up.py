"""Look-ups by ids, and the account."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from asking import START, WIRE, Asking, Receiver, message

from devino_async.sandbox import ManualClock, Sandbox


async def test_ids(asking: Asking) -> None:
    """Up to 500 ids, as text or numbers; unknown ones are absent from the answer."""
    [item] = await asking.send(message())
    known = item["messageId"]
    status, body = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=[int(known), "5", "x", "9" * 40])
    assert (status, [each["smsId"] for each in body["result"]]) == (200, [int(known)])
    status, _ = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=["1"] * 501)
    assert status == 400


async def test_rounded_ids() -> None:
    """With `round_ids` the answers hold ids as the page's sample does, after a float64 round trip."""
    async with Sandbox(round_ids=True) as sandbox:
        async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
            asking = Asking(sandbox, ManualClock(), session)
            [item] = await asking.send(message())
            assert item["messageId"] == "3701172084729885952"
            assert list(await asking.statuses(item["messageId"])) == ["3701172084729885700"]


async def test_the_balance_falls(asking: Asking) -> None:
    """Every accepted segment costs its price."""
    path = "/billing-api/companies/current/account"
    _, before = await asking.ask("GET", path)
    await asking.send(message(text="Я" * 140), message(to="nonsense"))
    _, after = await asking.ask("GET", path)
    paid = before["result"]["account"]["balance"] - after["result"]["account"]["balance"]
    assert round(paid, 2) == 7.05
