"""Faults that are switched on while the sandbox runs, as the SDK sees them."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from asking import Asking, message

from devino_async import Accepted, DevinoClient, Message, NotSent, Rejected, RetryPolicy, Unconfirmed
from devino_async.sandbox import CallbackFaults, Faults

WIRE = {
    "latency": 0.0,
    "tooManyRequests": False,
    "unavailable": False,
    "lostAnswer": False,
    "cutAnswer": False,
    "malformedRows": False,
    "callbacks": {"duplicate": 0.0, "drop": 0.0, "delay": 0.0, "disorder": False, "seed": 0},
}


@pytest.fixture
async def devino(asking: Asking) -> AsyncIterator[DevinoClient]:
    retry = RetryPolicy(attempts=1, deadline=0.5)  # Shorter than the second that a 429 asks for.
    async with DevinoClient("any", base_url=asking.sandbox.url, retry=retry) as client:
        yield client


async def sent(devino: DevinoClient, to: str = "79000000001", text: str = "Hello") -> Any:
    return await devino.send(Message(sender="MyCompany", to=to, text=text))


@pytest.mark.parametrize(
    ("fault", "outcome", "count"),
    [
        ("too_many_requests", NotSent, 0),
        ("unavailable", Unconfirmed, 0),
        ("lost_answer", Unconfirmed, 1),
        ("cut_answer", Unconfirmed, 1),
    ],
)
async def test_what_a_send_comes_to(
    asking: Asking, devino: DevinoClient, fault: str, outcome: type[object], count: int
) -> None:
    """Each fault of a send gives its receipt, and the sandbox accepted the message or did not. The next one is well."""
    setattr(asking.sandbox.faults, fault, 1)
    assert isinstance(await sent(devino), outcome)
    assert await asking.sandbox.count() == count
    assert getattr(asking.sandbox.faults, fault) == 0
    status, _ = await asking.ask("GET", "/billing-api/companies/current/account")
    assert status == 200


@pytest.mark.parametrize(
    ("fault", "error"), [("lost_answer", aiohttp.ServerDisconnectedError), ("cut_answer", aiohttp.ClientPayloadError)]
)
async def test_how_an_answer_is_lost(asking: Asking, fault: str, error: type[Exception]) -> None:
    """A lost answer has no first byte, and a cut one has no last byte. Both are for sends alone."""
    setattr(asking.sandbox.faults, fault, True)
    with pytest.raises(error):
        await asking.send(message())
    assert (await asking.ask("GET", "/billing-api/companies/current/account"))[0] == 200
    assert await asking.sandbox.count() == 1


async def test_malformed_rows(asking: Asking) -> None:
    """The first row of a look-up cannot be read. A fault of rows waits for rows."""
    asking.sandbox.faults.malformed_rows = True
    [item] = await asking.send(message())
    status, body = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=[item["messageId"]])
    assert (status, body["result"]) == (200, ["not a row"])
    assert (await asking.details("taskId=1&limit=5&offset=0"))["data"] == ["not a row"]
    status, body = await asking.ask("POST", "/sms-stat/statuses/get-by-ids", json=[])
    assert (status, body["result"]) == (200, [])


async def test_too_many_requests_says_how_long(asking: Asking) -> None:
    """A 429 names the seconds to wait, and goes on until it is switched off."""
    asking.sandbox.faults.too_many_requests = True
    for _ in range(3):
        async with asking.session.get(f"{asking.sandbox.url}/billing-api/companies/current/account") as response:
            assert (response.status, response.headers["Retry-After"]) == (429, "1")
    asking.sandbox.faults.clear()
    assert asking.sandbox.faults == Faults()
    assert (await asking.ask("GET", "/billing-api/companies/current/account"))[0] == 200


async def test_faults_over_http(asking: Asking) -> None:
    """The members that are given are set, and the others stay. DELETE switches all off."""
    path = "/_sandbox/faults"
    assert await asking.ask("GET", path) == (200, {"result": WIRE})
    given = {"unavailable": 2, "callbacks": {"duplicate": 1}}
    await asking.ask("POST", path, json={"latency": 0.5})
    _, body = await asking.ask("POST", path, json=given)
    assert body["result"] == WIRE | given | {"latency": 0.5, "callbacks": WIRE["callbacks"] | {"duplicate": 1}}
    assert asking.sandbox.faults.callbacks == CallbackFaults(duplicate=1)
    assert await asking.ask("DELETE", path) == (200, {"result": WIRE})


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency": -1},
        {"latency": 61},
        {"latency": True},
        {"latency": 10**400},
        {"unavailable": -1},
        {"unavailable": "yes"},
    ]
    + [{"nonsense": 1}, [], {"callbacks": {"drop": 2}}, {"callbacks": {"nonsense": 1}}, {"callbacks": 1}]
    + [{"lostAnswer": None}],
    ids=str,
)
async def test_faults_that_cannot_be(asking: Asking, wrong: Any) -> None:
    """A fault that cannot be is refused in words, and none of the others in the same body is set."""
    both = {"cutAnswer": True, **wrong} if isinstance(wrong, dict) else wrong
    status, body = await asking.ask("POST", "/_sandbox/faults", json=both)
    assert (status, bool(body["reasons"][0]["defaultMessage"])) == (400, True)
    assert asking.sandbox.faults == Faults()


@pytest.mark.parametrize(("name", "value"), [("latency", 100), ("unavailable", None), ("callbacks", {})])
def test_attributes_are_checked(name: str, value: Any) -> None:
    """An attribute that cannot be is refused by name."""
    with pytest.raises(ValueError, match=name):
        setattr(Faults(), name, value)


async def test_magic_recipients_that_change_the_answer(asking: Asking, devino: DevinoClient) -> None:
    """One number is rejected in the answer, and the answer to another one is lost though it was accepted."""
    assert isinstance(await sent(devino, "79009990001"), Rejected)
    assert isinstance(await sent(devino, "79009990002"), Accepted)
    assert isinstance(await sent(devino, "79009990004"), Unconfirmed)
    assert [each.to for each in asking.sandbox.messages] == ["79009990002", "79009990004"]


async def test_a_magic_recipient_that_is_slow(asking: Asking) -> None:
    """The answer to one number comes three seconds later, by the sandbox's clock. The message is there at once."""
    seconds: list[float] = []

    async def sleep(wanted: float) -> None:
        seconds.append(wanted)

    asking.sandbox._sending._clock = type("Clock", (), {"now": asking.clock.now, "sleep": staticmethod(sleep)})()
    await asking.send(message("79009990003"), message())
    assert seconds == [3]
