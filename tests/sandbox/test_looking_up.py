"""Look-ups by ids, and the account."""

import json
from decimal import Decimal

import aiohttp
import pytest
from asking import Asking, message

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


@pytest.mark.parametrize("body", ["", "nonsense", "{}", "null", "[true]", "[1.5]", "[null]", "[[]]", "[" * 100_000])
async def test_what_is_no_list_of_ids(asking: Asking, body: str) -> None:
    """A body that is no array of ids is a refused call, in the service's envelope."""
    status, answer = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", data=body)
    assert (status, answer["result"]) == (400, None)


async def test_the_time_of_a_status(asking: Asking) -> None:
    """statusDateTime is the moment of the last change, in the page's form, and stands still afterwards."""
    [item] = await asking.send(message())
    seen = []
    for _ in range(5):
        _, body = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=[item["messageId"]])
        seen.append(body["result"][0]["statusDateTime"][-8:])
        asking.clock.advance(10)
    assert seen == ["08:00:00", "08:00:10", "08:00:20", "08:00:30", "08:00:30"]


async def test_the_balance_is_exact(asking: Asking) -> None:
    """Read as a decimal, the balance is the opening one less the price of every segment, to the kopeck."""
    await asking.send(*[message(text="Я" * 140)] * 1_001)
    path = f"{asking.sandbox.url}/billing-api/companies/current/account"
    async with asking.session.get(path) as response:
        account = json.loads(await response.read(), parse_float=Decimal)["result"]["account"]
    assert account["balance"] == Decimal("1000000.80") - Decimal("2.35") * 3 * 1_001
