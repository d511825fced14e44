"""The routes of the inbox: its files, phones, conversations, events, and keeping the newest messages."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from asking import Asking, Receiver, message

from devino_async.sandbox import CallbackFaults, ManualClock, Sandbox
from devino_async.sandbox.tables import MAX_REJECTED


async def result(asking: Asking, path: str, method: str = "GET", **named: Any) -> Any:
    status, body = await asking.ask(method, f"/_sandbox/{path}", **named)
    assert status == 200, body
    return body["result"]


async def lines(asking: Asking, phone: str = "79000000001", query: str = "") -> list[dict[str, Any]]:
    return list((await result(asking, f"inbox/conversation?phone={phone}{query}"))["lines"])


OWN = ["/", "/page/app.js", "/page/style.css", "/_sandbox/inbox/phones", "/_sandbox/events", "/_sandbox/counts"]


@pytest.mark.parametrize("path", OWN)
async def test_a_foreign_host_is_refused(asking: Asking, path: str) -> None:
    """No route of the inbox answers to a name that another site can point at this machine."""
    port = asking.sandbox.url.rpartition(":")[2]
    for host in (f"evil.example:{port}", "evil.example", f"127.0.0.1.evil.example:{port}", "", "192.0.2.1"):
        status, _ = await asking.ask("GET", path, headers={"Host": host})
        assert status == 403, host
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}"):
        async with asking.session.get(asking.sandbox.url + path, headers={"Host": host}) as response:
            assert response.status == 200, host


@pytest.mark.parametrize("path", ["/_sandbox/keep", "/_sandbox/inbox/seen", "/_sandbox/faults"])
async def test_another_site_cannot_change_anything(asking: Asking, path: str) -> None:
    """A form or script of another site, which names its origin, is refused."""
    for origin in ("http://evil.example", "null", "https://127.0.0.1"):
        status, _ = await asking.ask("POST", path, json={}, headers={"Origin": origin})
        assert status == 403, origin


async def test_the_files_are_sent_with_a_strict_policy(asking: Asking) -> None:
    """Every file forbids inline scripts, foreign requests and HTML made of texts, and names its own type."""
    types = {
        "": "text/html",
        "page/app.js": "text/javascript",
        "page/style.css": "text/css",
        "page/icon.svg": "image/svg+xml",
    }
    for path, kind in types.items():
        async with asking.session.get(f"{asking.sandbox.url}/{path}") as response:
            assert (response.status, response.content_type) == (200, kind)
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "require-trusted-types-for 'script'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            text = await response.text()
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "").replace("http://127", "")
        for forbidden in (
            "innerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            " style=",
            "onclick=",
            "https://",
        ):
            assert forbidden not in text, (path, forbidden)


@pytest.mark.parametrize("path", ["/page/../server.py", "/page/%2e%2e/server.py", "/page/nothing.js", "/page/"])
async def test_no_other_file_is_sent(asking: Asking, path: str) -> None:
    """A path reaches no file outside the inbox."""
    assert (await asking.ask("GET", path))[0] == 404


async def test_phones(asking: Asking) -> None:
    """The phones come newest first, each with its last text, its count and what was not read yet, from any place."""
    await asking.send(*[message(f"7900000000{index}", text=f"text {index}") for index in range(5)])
    await asking.send(message("79000000001", text="again"))
    await asking.send(message("nonsense"))
    whole = await result(asking, "inbox/phones")
    assert [phone["phone"][-1] for phone in whole["phones"]] == ["e", "1", "4", "3", "2", "0"]
    assert whole["phones"][1] | {"ts": 0} == {
        "phone": "79000000001",
        "ts": 0,
        "text": "again",
        "entries": 2,
        "unread": 2,
    }
    assert (whole["total"], whole["unread"]) == (6, 7)
    part = await result(asking, "inbox/phones?offset=2&limit=2")
    assert part["phones"] == whole["phones"][2:4]
    await result(asking, "inbox/seen", "POST", json={"phone": "79000000001"})
    assert (await result(asking, "inbox/phones"))["unread"] == 5
    await result(asking, "inbox/seen", "POST", json={})
    assert (await result(asking, "inbox/phones"))["unread"] == 0


@pytest.mark.parametrize(
    ("search", "found"), [("0002", "2"), ("ЗАКАЗ", "2"), ("mycomp", "21"), ("%", ""), ("ответ", "1"), ("  ", "21")]
)
async def test_search(asking: Asking, receiver: tuple[Receiver, str], search: str, found: str) -> None:
    """A part of a number, a sender, a text or a reply is found in any case of letters, and nothing is a pattern."""
    await asking.send(message("79000000001", text="Hello"), message("79000000002", text="Заказ"))
    await asking.sandbox.reply("79000000001", "Ответ", url=receiver[1])
    await asking.send(message("79000000002", text="Привет"))
    phones = (await result(asking, f"inbox/phones?search={quote(search)}"))["phones"]
    assert "".join(phone["phone"][-1] for phone in phones) == found


async def test_a_conversation(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """A conversation holds what was accepted, rejected and replied, in the order of time, with all that is known."""
    made, url = receiver
    await asking.send(message(callbackUrl=url, priority="HIGH", validity=60, options={"a": "b"}), message(), message())
    made.status = 500
    await asking.sandbox.report()
    made.status = 200
    asking.clock.advance(10)
    await asking.send(message(text="", priority="SOON"))
    await asking.sandbox.reply("79000000001", "STOP", url=url)
    await asking.sandbox.report()
    first, second, third, rejected, reply = await lines(asking)
    assert (first["kind"], first["status"], first["segments"], first["alphabet"]) == ("message", "ENROUTE", 1, "GSM-7")
    assert (first["priority"], first["callbackUrl"], first["times"], second["times"]) == ("HIGH", url, 3, 3)
    told = [(each["status"], [attempt["answer"] for attempt in each["attempts"]]) for each in first["callbacks"]]
    assert told == [("ACCEPTED", [500, 200]), ("ENROUTE", [200])]
    assert first["nextTs"] == first["ts"] + 20_000
    assert {each["key"] for each in rejected["reasons"]} == {"must.be.not.null", "priority.is.not.match"}
    assert (reply["text"], reply["to"], reply["answer"]) == ("STOP", "MyCompany", 200)
    whole = await result(asking, f"inbox/message?kind=message&id={first['id']}")
    assert (whole["validity"], whole["options"]) == (60, {"a": "b"})
    assert [step["status"] for step in whole["history"]] == ["ACCEPTED", "ENROUTE"]
    assert [each["id"] for each in await lines(asking, query="&offset=1&limit=2")] == [second["id"], third["id"]]
    newest = await result(asking, "inbox/conversation?phone=79000000001&newest=true&limit=2")
    assert (newest["offset"], newest["total"], len(newest["lines"])) == (3, 5, 2)
    assert [each["text"] for each in await lines(asking, query="&search=sto")] == ["STOP"]
    assert len(await lines(asking, query="&search=0001")) == 5


@pytest.mark.parametrize(
    "path", ["inbox/conversation", "inbox/message?kind=message&id=x", "inbox/message?kind=other&id=1"]
)
async def test_bad_questions(asking: Asking, path: str) -> None:
    """A question that cannot be answered is refused in the envelope."""
    assert (await asking.ask("GET", f"/_sandbox/{path}"))[0] == 400


@pytest.mark.parametrize(
    "rejected",
    [
        {},
        {"to": 5, "from": [], "text": {"a": 1}},
        {"to": "\ud800", "from": "\ud800", "text": "\ud800"},
        {"to": "x" * 999},
    ],
)
async def test_rejected_messages_of_any_kind(asking: Asking, rejected: dict[str, Any]) -> None:
    """Whatever a rejected message holds, the sandbox answers and its inbox shows it."""
    await asking.send(rejected)
    [phone] = (await result(asking, "inbox/phones"))["phones"]
    [line] = await lines(asking, quote(phone["phone"]))
    assert (line["kind"], phone["entries"]) == ("rejected", 1)


async def test_why_an_attempt_got_no_answer(asking: Asking) -> None:
    """An attempt without an answer says why."""
    [item] = await asking.send(message(callbackUrl="http://127.0.0.1:9/"))
    await asking.sandbox.report()
    [callback] = (await result(asking, f"callbacks?message={item['messageId']}"))["callbacks"]
    assert [(each["answer"], each["problem"]) for each in callback["attempts"]] == [(None, "no connection")]
    asking.sandbox.faults.callbacks = CallbackFaults(drop=1.0)
    asking.clock.advance(10)
    await asking.sandbox.report()
    callbacks = (await result(asking, f"callbacks?message={item['messageId']}"))["callbacks"]
    assert {each["status"]: each["attempts"][-1]["problem"] for each in callbacks} == {
        "ACCEPTED": "dropped by a fault",
        "ENROUTE": "dropped by a fault",
    }


async def test_faults_of_callbacks_change_while_it_runs(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """Callbacks follow the faults that are set now, and what was held back comes after they are switched off."""
    made, url = receiver
    asking.sandbox.faults.callbacks = CallbackFaults(duplicate=1.0, delay=5.0)
    await asking.send(message(callbackUrl=url))
    await asking.sandbox.report()
    asking.sandbox.faults.clear()
    asking.clock.advance(9)
    await asking.sandbox.report()
    assert [event["status"] for event in made.events] == ["ACCEPTED", "ACCEPTED"]
    asking.clock.advance(1)
    await asking.sandbox.report()
    assert [event["status"] for event in made.events][2:] == ["ENROUTE"]


async def events(response: aiohttp.ClientResponse) -> dict[str, Any]:
    while True:
        line = await response.content.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            return dict(json.loads(line[6:]))


async def until(response: aiohttp.ClientResponse, accepted: int) -> int:
    """Read events until one knows of so many messages. Return how many events that were."""
    read = 0
    while True:
        read += 1
        if (await events(response))["counts"]["accepted"] >= accepted:
            return read


async def test_events(asking: Asking) -> None:
    """The first event comes at once. One event stands for all changes of a fifth of a second, and holds no text."""
    async with asking.session.get(f"{asking.sandbox.url}/_sandbox/events") as response:
        first = await events(response)
        assert first["counts"] == {"accepted": 0, "rejected": 0, "repeated": 0}
        assert first["faults"] == asking.sandbox.faults.as_json()
        await asyncio.gather(*(asking.send(message(text=f"secret {index}")) for index in range(100)))
        assert await until(response, 100) < 50
    assert "secret" not in json.dumps(first)


async def test_fifty_pages_stay_and_one_leaves(asking: Asking) -> None:
    """Fifty open pages get their events while others have left in the middle, and the sandbox stops at once."""
    url = f"{asking.sandbox.url}/_sandbox/events"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        stay = [await session.get(url) for _ in range(50)]
        for _ in range(5):
            leaving = await session.get(url)
            await events(leaving)
            leaving.close()
        await asking.send(message())
        assert all(await asyncio.gather(*(until(each, 1) for each in stay)))
        await asking.send(message(text="another"))
        await asyncio.gather(*(until(each, 2) for each in stay))
        assert asking.sandbox._live.pages == 50
        await asking.sandbox.stop()
        for each in stay:
            each.close()
    assert asking.sandbox._live.pages == 0


async def test_a_slow_receiver_does_not_hold_up_the_inbox(asking: Asking) -> None:
    """While a receiver of callbacks does not answer, the inbox does."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        asked.set()
        await answer.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await asking.send(message(callbackUrl=f"http://127.0.0.1:{runner.addresses[0][1]}/"))
    reporting = asyncio.create_task(asking.sandbox.report())
    await asked.wait()
    [line] = await lines(asking)
    assert line["callbacks"] == []
    answer.set()
    assert await reporting == 1
    [line] = await lines(asking)
    assert [each["attempts"][0]["answer"] for each in line["callbacks"]] == [200]
    await runner.cleanup()


async def test_keeping_the_newest(asking: Asking) -> None:
    """Only the newest messages are kept, with their phones. Counts go on, and the statistics know of all."""
    await asking.send(*[message(f"7900000000{index}") for index in range(5)])
    assert await result(asking, "keep", "POST", json={"messages": 2}) == {"messages": 2}
    phones = (await result(asking, "inbox/phones"))["phones"]
    assert [phone["phone"][-1] for phone in phones] == ["4", "3"]
    counts = await result(asking, "counts")
    assert (counts["accepted"], counts["kept"]) == (5, 2)
    for wrong in ({"messages": 0}, {"messages": "5"}, {"messages": True}, {}, []):
        assert (await asking.ask("POST", "/_sandbox/keep", json=wrong))[0] == 400


async def test_keeping_from_the_start() -> None:
    """`Sandbox(keep=...)` deletes the oldest behind each POST. An impossible number is refused at once."""
    async with Sandbox(keep=3, clock=ManualClock()) as sandbox:
        async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
            asking = Asking(sandbox, ManualClock(), session)
            await asking.send(*[message(text=f"text {index}") for index in range(10)])
            while await sandbox.count() != 3:
                await asyncio.sleep(0)
            assert [each["text"] for each in await lines(asking)] == ["text 7", "text 8", "text 9"]
    for wrong in (0, -1, True, 2.0, "5"):
        with pytest.raises(ValueError, match="keep must be a whole number of messages from 1"):
            Sandbox(keep=wrong)  # type: ignore[arg-type]


async def test_rejected_messages_are_bounded(asking: Asking) -> None:
    """Of the rejected messages too only the newest are kept."""
    for _ in range(2):
        await asking.send(*[message("nonsense")] * (MAX_REJECTED // 2 + 1))
    await result(asking, "keep", "POST", json={"messages": None})
    assert (await result(asking, "inbox/conversation?phone=nonsense"))["total"] == MAX_REJECTED


async def test_clearing_leaves_nothing(asking: Asking, receiver: tuple[Receiver, str]) -> None:
    """After a clear there is no phone, no line and no attempt left."""
    await asking.send(message(callbackUrl=receiver[1]), message("nonsense"))
    await asking.sandbox.reply("79000000001", "STOP")
    await asking.sandbox.report()
    await asking.sandbox.clear()
    for table in ("message", "report", "reply", "rejected", "attempt", "phone"):
        assert await asking.sandbox._store.rows(f"SELECT count(*) FROM {table}") == [(0,)], table
