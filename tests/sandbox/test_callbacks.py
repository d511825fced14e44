"""Status callbacks and incoming messages, received by a real server on loopback."""

from collections import Counter

import pytest
from asking import START, Asking, Receiver, message

from devino_async.sandbox.loopback import is_loopback


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
    """An address that does not answer 200 is tried again."""
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
    """The control route makes the sandbox POST an incoming message in the documented form."""
    made, url = receiver
    asked = {"url": url, "message": {"text": "STOP"}}
    _, body = await asking.ask("POST", "/sandbox/incoming", json=asked)
    assert body["result"]["reached"] is True
    [incoming] = made.bodies
    assert (incoming["text"], incoming["ts"]) == ("STOP", str(int(START.timestamp() * 1000)))
    assert isinstance(incoming["incomingMessageId"], str)


async def told(asking: Asking, rounds: int = 8) -> None:
    for _ in range(rounds):
        await asking.sandbox.report()
        asking.clock.advance(10)


async def test_events_come_in_arrays_of_a_thousand_at_most(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """The events for one address come at most a thousand in one POST, each exactly once."""
    made, url = receiver
    items = await asking.send(*[message(callbackUrl=url)] * 2_500)
    assert await asking.sandbox.report() == 2_500
    assert sorted(map(len, made.bodies)) == [500, 1_000, 1_000]
    await told(asking)
    seen = Counter((event["messageId"], event["status"]) for event in made.events)
    assert set(seen.values()) == {1}
    assert len(seen) == 4 * len(items)


async def test_all_at_once_is_still_in_order(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """A round that comes late reports every step of a message in order, with the moment of each."""
    made, url = receiver
    await asking.send(message("79000000993", callbackUrl=url))
    asking.clock.advance(1_000)
    await asking.sandbox.report()
    begin = int(START.timestamp() * 1000)
    assert [(event["status"], event["ts"] - begin) for event in made.events] == [
        ("ACCEPTED", 0), ("ENROUTE", 10_000), ("SENT", 20_000), ("REJECTED", 30_000)
    ]  # fmt: skip
    assert [event["errorCode"] for event in made.events] == [0, 0, 0, 2005]
    assert "options" not in made.events[0]


async def test_those_who_wait_hold_up_nobody(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """Scheduled messages and a failing address do not hold up the events of others."""
    made, url = receiver
    await asking.send(*[message(callbackUrl=url + "late", scheduledTime="2030-01-01T00:00:00.000Z")] * 1_500)
    await asking.send(*[message(callbackUrl="http://127.0.0.1:9/")] * 2_500)
    await asking.sandbox.report()
    made.bodies.clear()
    await asking.send(message(callbackUrl=url))
    await told(asking)
    assert [event["status"] for event in made.events] == ["ACCEPTED", "ENROUTE", "SENT", "DELIVERED"]


async def test_an_address_is_given_up(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """After five answers that are not 200 the events are dropped, and the next ones are tried again."""
    made, url = receiver
    await asking.send(message(callbackUrl=url))
    made.status = 500
    for _ in range(7):
        await asking.sandbox.report()
    assert len(made.bodies) == 5
    made.status = 200
    asking.clock.advance(10)
    await asking.sandbox.report()
    assert made.events[-1]["status"] == "ENROUTE"


HERE = ["http://127.0.0.1:1/", "https://localhost/x", "http://[::1]:8/", "http://127.9.9.9/"]
ELSEWHERE = ["http://127.0.0.1@example.com/", "http://example.com#@127.0.0.1/", "http://localhost.example.com/"]
ELSEWHERE += ["http://0.0.0.0/", "http://10.0.0.1/", "ftp://127.0.0.1/", "http://["]


@pytest.mark.parametrize(("url", "loopback"), [(url, url in HERE) for url in HERE + ELSEWHERE])
def test_what_is_loopback(url: str, loopback: bool) -> None:
    """Only a URL whose host is this machine is loopback, whatever its other parts are."""
    assert is_loopback(url) is loopback


async def test_skipped_callbacks_are_counted(asking: Asking) -> None:
    """A callbackUrl elsewhere is accepted and never called, and does not count as a success."""
    await asking.send(*[message(callbackUrl="https://www.callback-url.com/")] * 3)
    assert await asking.sandbox.report() == 0
    assert asking.sandbox.skipped_callbacks == 3


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{}", '{"url": "http://127.0.0.1:1/", "message": [1]}', '{"url": "file://127.0.0.1/"}', "[" * 100_000],
)
async def test_bad_requests_for_incoming_messages(asking: Asking, body: str) -> None:
    """The control route refuses a request that it cannot carry out, in the envelope."""
    assert (await asking.ask("POST", "/sandbox/incoming", data=body))[0] == 400
