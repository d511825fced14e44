"""The routes under /_sandbox that tests of any language use. No wait here is longer than what it waits for."""

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from asking import START, Asking, message

from devino_async.sandbox.guard import check_host

OWN = ["messages", "counts", "repeated", "faults", "replies", "recipients"]
NOW = round(START.timestamp() * 1000)


async def asked(asking: Asking, path: str, method: str = "GET", **named: Any) -> Any:
    status, body = await asking.ask(method, f"/_sandbox/{path}", **named)
    assert status == 200, body
    return body["result"]


async def texts(asking: Asking, query: str = "") -> list[str]:
    return [each["text"] for each in (await asked(asking, f"messages{query}"))["messages"]]


async def test_a_message_is_told_whole(asking: Asking) -> None:
    """A message comes with all that was sent, its segments, its alphabet, and its status at this moment."""
    optional = {"validity": 60, "priority": "HIGH", "options": {"ref": "1"}}
    optional |= {"scheduledTime": "2022-09-09T08:52:27.319Z", "callbackUrl": "https://www.callback-url.com/"}
    [item] = await asking.send({**message(), "text": "Привет", **optional})
    [told] = (await asked(asking, "messages"))["messages"]
    assert told.pop("taskId") == 1
    assert told == {
        "messageId": item["messageId"], "from": "MyCompany", "to": "79000000001", "text": "Привет", "ts": NOW,
        "segments": 1, "alphabet": "UCS-2", "status": "SCHEDULED", "statusTs": NOW, **optional,
    }  # fmt: skip
    await asking.send(message("79000000002"))
    asking.clock.advance(10)
    [plain] = (await asked(asking, "messages?to=79000000002"))["messages"]
    assert (plain["alphabet"], plain["status"], plain["statusTs"]) == ("GSM-7", "ENROUTE", NOW + 10_000)
    assert [plain[name] for name in optional] == [None] * 5


async def test_messages_are_filtered_and_paged(asking: Asking) -> None:
    """`to` is a whole number with or without a plus, `text` a part of a text, and an empty one is none.

    Pages go both ways from an id.
    """
    items = await asking.send(*(message(f"7900000000{n % 2}", text=f"Text {n}%") for n in range(5)))
    ids = [item["messageId"] for item in items]
    assert await texts(asking, "?to=79000000001") == await texts(asking, "?to=%2B79000000001") == ["Text 1%", "Text 3%"]
    assert await texts(asking, "?text=3%25") == ["Text 3%"]
    assert await texts(asking, "?to=79000000000&text=3") == []
    assert await texts(asking, "?to=&text=3&wait=5") == ["Text 3%"]
    assert await texts(asking, f"?after={ids[2]}&limit=1") == ["Text 3%"]
    assert await texts(asking, f"?before={ids[2]}&order=DESC") == ["Text 1%", "Text 0%"]
    assert [(await asked(asking, f"messages?limit={n}"))["more"] for n in (4, 5)] == [True, False]


@pytest.mark.parametrize(
    ("query", "name"),
    [("wait=61", "wait"), ("wait=nan", "wait"), ("wait=x", "wait"), ("limit=0", "limit"), ("limit=1001", "limit")]
    + [("after=x", "after"), ("order=UP", "order")],
)
async def test_bad_queries(asking: Asking, query: str, name: str) -> None:
    """A value that cannot be is refused by name."""
    status, body = await asking.ask("GET", f"/_sandbox/messages?{query}")
    assert (status, body["reasons"][0]["ref"]) == (400, name)


async def test_a_wait_ends_with_the_message(asking: Asking) -> None:
    """A wait ends as soon as a message matches, though others come before it."""
    waiting = asyncio.create_task(texts(asking, "?to=79000000003&wait=60"))
    for number in (1, 2):
        await asking.send(message(f"7900000000{number}"))
        assert not waiting.done()
    await asking.send(message("79000000003"))
    assert await waiting == ["Hello"]
    assert await texts(asking, "?to=79000000009&wait=0.01") == []


async def test_what_was_sent_twice(asking: Asking) -> None:
    """Messages of the same sender, recipient and text are told with their ids, within a POST and across POSTs."""
    twice = message(text="Twice")
    items = await asking.send(twice, twice, message(), message(sender="x"))
    items += await asking.send({**twice, "priority": "HIGH"}, message("79000000002", text="Twice"))
    ids = [items[n]["messageId"] for n in (0, 1, 4)]
    told = {"from": "MyCompany", "to": "79000000001", "text": "Twice", "times": 3, "messageIds": ids}
    first, second = (await asked(asking, "repeated"))["repeated"]
    assert (first, second["text"], second["times"]) == (told, "Hello", 2)
    assert (await asked(asking, "repeated?limit=1"))["more"] is True
    assert (await asked(asking, "counts"))["repeated"] == 3


async def test_counts_and_a_clean_state(asking: Asking) -> None:
    """All messages are counted until they are deleted. The ids go on."""
    [_, before] = await asking.send(message("nonsense"), message())
    counts = {"accepted": 1, "rejected": 1, "repeated": 0, "kept": 1, "skippedCallbacks": 0}
    assert await asked(asking, "counts") == counts
    assert await asked(asking, "messages", "DELETE") == {"deleted": 1}
    assert await asked(asking, "counts") == dict.fromkeys(counts, 0)
    [after] = await asking.send(message())
    assert int(after["messageId"]) > int(before["messageId"])
    assert (await asked(asking, "counts"))["repeated"] == 0


async def test_the_newest_are_kept(asking: Asking) -> None:
    """With `keep` all but the newest messages are deleted, and the counts stay."""
    await asking.send(*(message(text=str(n)) for n in range(5)))
    assert await asked(asking, "messages?keep=2", "DELETE") == {"deleted": 3}
    assert await texts(asking) == ["3", "4"]
    assert (await asked(asking, "counts"))["accepted"] == 5
    status, _ = await asking.ask("DELETE", "/_sandbox/messages?keep=0")
    assert status == 400


@pytest.mark.parametrize("path", OWN)
async def test_no_credentials_are_asked_for(asking: Asking, path: str) -> None:
    """The sandbox's own routes answer without credentials, and are no requests to the API."""
    status, body = await asking.ask("GET", f"/_sandbox/{path}", headers={"Authorization": ""})
    assert (status, sorted(body)) == (200, ["result"])
    assert not asking.sandbox.requests


ELSEWHERE = [{"Host": "sms.example.com"}, {"Host": "127.0.0.1.example.com"}, {"Host": "["}, {"Host": ""}]
ELSEWHERE += [{"Host": "192.0.2.1"}, {"Origin": "http://example.com"}, {"Origin": "null"}, {"Origin": "https://{own}"}]


@pytest.mark.parametrize("path", ["/", *(f"/_sandbox/{path}" for path in OWN)])
@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
async def test_another_site_gets_nothing(asking: Asking, path: str, headers: dict[str, str]) -> None:
    """A host name that another site points at this machine, and a form of another site, are refused."""
    own = asking.sandbox.url.removeprefix("http://")
    sent = {name: value.format(own=own) for name, value in headers.items()}
    status, body = await asking.ask("POST" if "faults" in path else "GET", path, headers=sent)
    assert (status, body["reasons"][0]["ref"]) == (403, next(iter(headers)))


@pytest.mark.parametrize("path", ["/sms-stat/detail?limit=1&offset=0&taskId=1", "/sandbox/incoming", "/nowhere"])
async def test_the_api_is_no_way_round(asking: Asking, path: str) -> None:
    """The API accepts any key, so it refuses a host name that another site points at this machine too."""
    status, body = await asking.ask("GET", path, headers={"Host": "sms.example.com"})
    assert (status, body["reasons"][0]["ref"]) == (403, "Host")


async def test_the_name_that_the_sandbox_listens_on() -> None:
    """The host that the sandbox was given is answered in any case of letters."""
    request = make_mocked_request("GET", "/", headers={"Host": "devino.example:8025"})
    check_host(request, "Devino.example")


HALF = "\ud800"
POSTS = {
    "replies": [{"from": "79000000001", "text": HALF, "url": "http://127.0.0.1:9/"}, {"from": HALF, "text": "x"}],
    "faults": [{"callbacks": {"seed": HALF}}, {"callbacks": {"seed": [1]}}, {"callbacks": {"disorder": "x"}}],
    "inbox/seen": [{"phone": HALF}],
    "keep": [{"messages": HALF}],
}


@pytest.mark.parametrize(
    ("path", "body"), [(path, body) for path, bodies in POSTS.items() for body in bodies], ids=ascii
)
async def test_values_that_cannot_be(asking: Asking, path: str, body: Any) -> None:
    """Half a surrogate pair, or a value of another type, is refused in the envelope and does no harm."""
    status, answer = await asking.ask("POST", f"/_sandbox/{path}", json=body)
    assert (status, bool(answer["reasons"][0]["defaultMessage"])) == (400, True)
    await asking.sandbox.report()


@pytest.mark.parametrize("path", POSTS)
async def test_a_body_that_is_too_big(asking: Asking, path: str) -> None:
    """A body that would hold up the event loop while it is parsed is refused, with the limit, however it comes."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(2**18 // 1000 + 1):
            yield b" " * 1000

    for data in (io.BytesIO(b" " * (2**18 + 1)), pieces()):
        status, answer = await asking.ask("POST", f"/_sandbox/{path}", data=data)
        assert (status, "262,144 bytes" in answer["reasons"][0]["defaultMessage"]) == (413, True)


@pytest.mark.parametrize("options", [{HALF: "x"}, {"x": HALF}, {"Имя": ["x", {"y": HALF}]}], ids=ascii)
async def test_options_of_any_characters(asking: Asking, options: dict[str, Any]) -> None:
    """Options that hold half a surrogate pair are told as they were sent, and other messages beside them."""
    [item] = await asking.send({**message(), "text": "Привет", "options": options})
    [told] = (await asked(asking, "messages"))["messages"]
    assert (told["text"], told["options"]) == ("Привет", options)
    assert (await asked(asking, f"inbox/message?kind=message&id={item['messageId']}"))["options"] == options


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1", "[::1]:{port}"])
async def test_this_machine_by_any_name(asking: Asking, host: str) -> None:
    """Every name of this machine is answered, at any port, as a container is published at another one."""
    port = asking.sandbox.url.rpartition(":")[2]
    named = {"Host": host.format(port=port), "Origin": f"http://{host.format(port=port)}"}
    status, _ = await asking.ask("GET", "/_sandbox/counts", headers=named)
    assert status == 200
