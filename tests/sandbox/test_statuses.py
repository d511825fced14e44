"""POST /sms-stat/statuses/get-by-ids: which ids are answered, and what a status says."""

import aiohttp
import pytest
from asking import Asking, message

from devino_async.sandbox import ManualClock, Sandbox


async def test_ids(asking: Asking) -> None:
    """Up to 500 ids are looked up, as strings or numbers. Unknown ones are absent from the answer."""
    [item] = await asking.send(message())
    known = item["messageId"]
    status, body = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=[int(known), "5", "x", "9" * 40])
    assert (status, [each["smsId"] for each in body["result"]]) == (200, [int(known)])
    status, _ = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=["1"] * 501)
    assert status == 400


async def test_rounded_ids() -> None:
    """With `round_ids` the answers hold ids after a float64 round trip, like the sample in the API docs."""
    async with Sandbox(round_ids=True) as sandbox:
        async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
            asking = Asking(sandbox, ManualClock(), session)
            [item] = await asking.send(message())
            assert item["messageId"] == "3701172084729885952"
            assert list(await asking.statuses(item["messageId"])) == ["3701172084729885700"]


@pytest.mark.parametrize("body", ["", "nonsense", "{}", "null", "[true]", "[1.5]", "[null]", "[[]]", "[" * 100_000])
async def test_what_is_not_a_list_of_ids(asking: Asking, body: str) -> None:
    """A body that is not an array of ids is refused in the envelope."""
    status, answer = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", data=body)
    assert (status, answer["result"]) == (400, None)


async def test_the_time_of_a_status(asking: Asking) -> None:
    """statusDateTime is the moment of the last change in the documented form, and stays the same afterwards."""
    [item] = await asking.send(message())
    seen = []
    for _ in range(5):
        _, body = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=[item["messageId"]])
        seen.append(body["result"][0]["statusDateTime"][-8:])
        asking.clock.advance(10)
    assert seen == ["08:00:00", "08:00:10", "08:00:20", "08:00:30", "08:00:30"]
