"""The receiver under real servers with real HTTP: aiohttp.web, uvicorn, Starlette's and FastAPI's routes, Django."""

import asyncio
import gzip
import importlib
import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from traceback import walk_tb
from typing import Any

import aiohttp
import pytest
from web_servers import (
    EVENT,
    INCOMING,
    TOKEN,
    WIRE,
    Seen,
    by_aiohttp,
    by_asgi,
    everywhere,
    post,
    raw,
    refused,
    shown_route,
    streaming,
)

from devino_async import CallbackReceiver, ConfigurationError, ItemsUnread, Status
from devino_async.webhooks.receiver import MAX_BODY, MAX_EVENTS, MAX_WAITING

README = Path(__file__).parents[2] / "README.md"


@everywhere
async def test_the_examples_of_the_api_docs(server: Any) -> None:
    """The API docs' callbacks and incoming message arrive as values, and are answered 200 with an empty body."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        for name in ("callback_delivered", "callback_rejected", "incoming_message"):
            assert await post(f"{url}/{TOKEN}", (WIRE / f"{name}.json").read_bytes()) == 200
    assert [each.status for each in seen.statuses] == [Status.DELIVERED, Status.REJECTED]
    assert [each.incoming_message_id for each in seen.incoming] == [INCOMING["incomingMessageId"]]


@everywhere
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_post(server: Any, method: str) -> None:
    """Anything but POST is 405 and says what is allowed."""
    async with server(Seen().receiver()) as url, aiohttp.ClientSession() as session:
        async with session.request(method, f"{url}/{TOKEN}") as response:
            assert response.status == 405
            assert response.headers["Allow"] == "POST"


@everywhere
async def test_large_bodies(server: Any) -> None:
    """A body over 256 KiB is 413, whether its length is announced or not, and calls no hook. One that fits is read."""
    seen = Seen()
    events = json.dumps([EVENT] * MAX_EVENTS).encode()
    fits = events[:-1] + b" " * (MAX_BODY - len(events)) + b"]"

    async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(body), 10_000):
            yield body[at : at + 10_000]

    async with server(seen.receiver()) as url:
        for large in (fits + b" ", in_chunks(fits + b" ")):
            assert await refused(f"{url}/{TOKEN}", large) in {413, None}
        assert seen.calls == 0
        for right in (fits, in_chunks(fits)):
            assert await post(f"{url}/{TOKEN}", right) == 200
    assert len(seen.statuses) == 2 * MAX_EVENTS


async def test_more_than_1000_events() -> None:
    """More than 1,000 events in a body come in runs of 1,000, in order. If a run fails, 500 is answered."""
    runs: list[list[str]] = []

    async def keep(events: Any) -> None:
        runs.append([each.message_id for each in events])
        if len(runs) == 5:
            raise ValueError

    body = json.dumps([{"messageId": str(each), "ts": 1, "status": "SENT"} for each in range(2_500)]).encode()
    receiver = Seen().receiver(on_status=keep)
    assert await receiver.handle("POST", TOKEN, {}, body) == (200, b"")
    assert list(map(len, runs)) == [MAX_EVENTS, MAX_EVENTS, 500]
    assert [each for run in runs for each in run] == list(map(str, range(2_500)))
    assert await receiver.handle("POST", TOKEN, {}, body) == (500, b"")
    assert len(runs) == 5


@everywhere
async def test_one_odd_event(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What can be read is handed over, of either kind. A log line and an event count the rest, without content."""
    seen = Seen()
    told: list[Any] = []
    odd = [{**EVENT, "status": None}, {}, "sesame", {"incomingMessageId": ["sesame"]}]
    async with server(seen.receiver(on_event=told.append)) as url:
        assert await post(f"{url}/{TOKEN}", [odd[0], EVENT, *odd[1:3], INCOMING, odd[3], EVENT]) == 200
        assert await post(f"{url}/{TOKEN}", odd) == 400
    assert (len(seen.statuses), len(seen.incoming), seen.calls) == (2, 1, 2)
    said = [record.getMessage() for record in caplog.records if record.name == "devino_async"]
    assert any("4 of 7 events cannot be read" in line for line in said)
    assert not any("sesame" in line for line in said)
    assert told == [ItemsUnread(operation="callback", count=4)] * 2


async def test_a_failing_on_event() -> None:
    """An error of `on_event` changes no answer, and good bodies are no event."""
    calls: list[Any] = []

    def broken(event: Any) -> None:
        calls.append(event)
        raise ValueError

    seen = Seen()
    receiver = seen.receiver(on_event=broken)
    assert await receiver.handle("POST", TOKEN, {}, json.dumps(EVENT).encode()) == (200, b"")
    assert calls == []
    assert await receiver.handle("POST", TOKEN, {}, json.dumps([EVENT, {}]).encode()) == (200, b"")
    assert (len(calls), len(seen.statuses)) == (1, 2)
    with pytest.raises(ConfigurationError, match="on_event"):
        seen.receiver(on_event="event")


async def test_one_coroutine_does_not_hold_up_the_other() -> None:
    """If one of your coroutines raises, the other one gets its events all the same, and 500 is answered."""
    seen = Seen()

    async def broken(events: Any) -> None:
        raise ValueError

    receiver = seen.receiver(on_status=broken)
    assert await receiver.handle("POST", TOKEN, {}, json.dumps([EVENT, INCOMING]).encode()) == (500, b"")
    assert len(seen.incoming) == 1


@everywhere
async def test_a_slash_at_the_end(server: Any) -> None:
    """One slash at the end of the address changes nothing, and two are another address."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        for address in (f"{url}/{TOKEN}/", f"{url}/x?token={TOKEN}/", f"{url}/x/?token={TOKEN}"):
            assert await post(address, EVENT, allow_redirects=False) == 200
        for wrong in (f"{url}/{TOKEN}//", f"{url}/x?token={TOKEN}//", f"{url}/x?token=/{TOKEN}"):
            assert await post(wrong, EVENT, allow_redirects=False) == 404
        assert await post(f"{url}/{TOKEN[:-1]}/", EVENT, allow_redirects=False) == 404
    assert seen.calls == 3


async def test_a_slash_at_the_end_of_a_token() -> None:
    """One slash at the end of a token changes nothing for `handle`, `receive` and `lets_in`. Two are another token."""
    seen = Seen()
    receiver = seen.receiver()
    body = json.dumps(EVENT).encode()
    for token, status in ((TOKEN, 200), (f"{TOKEN}/", 200), (f"{TOKEN}//", 404), (f"/{TOKEN}", 404), ("/", 404)):
        assert (await receiver.handle("POST", token, {}, body))[0] == status
        assert receiver.lets_in(token) == (status == 200)
    assert seen.calls == 2


def test_the_routes_of_the_readme() -> None:
    """The README shows the routes of the docstrings. With other ones a framework refuses the slash before we see it."""
    pytest.importorskip("django")
    pytest.importorskip("starlette")
    modules = [
        importlib.import_module(f"devino_async.contrib.{name}") for name in ("aiohttp_web", "starlette", "django")
    ]
    shown = re.findall(r'"/?\w+/([{<][^"]*token[^"]*)"', README.read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(shown_route(module).rpartition("/")[2] for module in modules)


@everywhere
async def test_compressed_bodies(server: Any) -> None:
    """A compressed body is 415 before anything is unpacked, a bomb too."""
    seen = Seen()
    bomb = gzip.compress(b" " * 50_000_000)
    async with server(seen.receiver()) as url:
        for body in (gzip.compress(json.dumps(EVENT).encode()), bomb):
            assert await post(f"{url}/{TOKEN}", body, headers={"Content-Encoding": "gzip"}) == 415
        assert await post(f"{url}/{TOKEN}", EVENT, headers={"Content-Encoding": "identity"}) == 200
    assert seen.calls == 1


BAD = [
    b"", b" ", b"x", b"{", b"[", b"{}", b"[[]]", b"[1]", b'"x"', b"5", b"null", b"true", b"NaN", b"\xff\xfe", b'{"a":}',
    b'{"messageId":"1","ts":1,"status":null}', b'{"messageId":1.5,"ts":1,"status":"SENT"}',
    b'{"messageId":"1","ts":"x","status":"SENT"}', b'{"messageId":"1","ts":1}', b'{"messageId":"1","status":"SENT"}',
    b'{"ts":1,"status":"SENT"}', b'{"messageId":"1","messageId":"2","ts":1,"status":"SENT"}', b"[" * 100_000,
    b"[{},{}]", b'{"messageId":"1","ts":1,"status":"SENT"} x',
    rb'{"messageId":"\ud800","ts":1,"status":"SENT"}', rb'{"messageId":"1\u0000","ts":1,"status":"SENT"}',
    b'[{"incomingMessageId":"1"},{"messageId":"1"}]', b"a=b&c=d",
]  # fmt: skip


@pytest.mark.parametrize("server", [by_aiohttp, by_asgi])
@pytest.mark.parametrize("body", BAD, ids=lambda body: repr(body[:40]))
async def test_bad_bodies(server: Any, body: bytes) -> None:
    """A body in which no event can be read is 400 and calls no hook."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        assert await post(f"{url}/{TOKEN}", body) == 400
    assert seen.calls == 0


@everywhere
async def test_what_is_unknown_is_kept(server: Any) -> None:
    """Unknown keys and statuses are kept. Object or array, and ids and times as str or number, are the same."""
    seen = Seen()
    variants = [
        {**EVENT, "status": "PONDERED", "channel": "sms"},
        [{**EVENT, "messageId": 3597944866766620289, "ts": "1613404835977"}],
        [],
    ]
    async with server(seen.receiver()) as url:
        for each in variants:
            assert await post(f"{url}/{TOKEN}", each) == 200
    assert [each.status for each in seen.statuses] == ["PONDERED", Status.DELIVERED]
    assert seen.statuses[0].extra == {"channel": "sms"}
    assert {each.message_id for each in seen.statuses} == {EVENT["messageId"]}
    assert len({each.timestamp for each in seen.statuses}) == 1


@everywhere
async def test_your_exception_is_500(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """If your coroutine raises, 500 is answered so that the sender repeats. The error's text is not logged."""

    async def broken(events: Any) -> None:
        raise ValueError("79000000001")

    with caplog.at_level(logging.DEBUG, logger="devino_async"):
        async with server(Seen().receiver(on_status=broken)) as url:
            assert await post(f"{url}/{TOKEN}", EVENT) == 500
    said = [record.getMessage() for record in caplog.records if record.name == "devino_async"]
    assert any("ValueError" in line for line in said)
    assert not any("79000000001" in line for line in said)


@everywhere
async def test_200_comes_after_your_coroutine(server: Any) -> None:
    """The answer waits until your coroutine has returned."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(events: Any) -> None:
        begun.set()
        await may_end.wait()

    async with server(Seen().receiver(on_status=slow)) as url:
        asking = asyncio.create_task(post(f"{url}/{TOKEN}", EVENT))
        await begun.wait()
        assert not asking.done()
        may_end.set()
        assert await asking == 200


@streaming
async def test_a_slow_body(server: Any) -> None:
    """A body that does not arrive in time is 408."""
    seen = Seen()
    async with server(seen.receiver(body_timeout=0.05)) as url:
        reader, writer = await raw(f"{url}/{TOKEN}", "Content-Length: 100", b"[")
        assert b" 408 " in await reader.readline()
        writer.close()
    assert seen.calls == 0


@everywhere
async def test_half_a_body(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A sender that leaves in the middle of its body calls no hook and is not an error. The next one is served."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        _, writer = await raw(f"{url}/{TOKEN}", "Content-Length: 100", json.dumps(EVENT).encode())
        writer.close()
        await writer.wait_closed()
        assert await post(f"{url}/{TOKEN}", EVENT) == 200
    assert seen.calls == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@streaming
async def test_a_body_announced_too_long_is_not_awaited(server: Any) -> None:
    """A Content-Length above the limit is 413 before anything of the body has come."""
    async with server(Seen().receiver()) as url:
        reader, writer = await raw(f"{url}/{TOKEN}", f"Content-Length: {MAX_BODY + 1}")
        assert b" 413 " in await reader.readline()
        writer.close()


@streaming
@pytest.mark.parametrize(
    "encodings", [("gzip", "identity"), ("identity", "gzip"), ("GZIP",), ("other",), ("identity, gzip",)]
)
async def test_doubled_encodings(server: Any, encodings: tuple[str, ...]) -> None:
    """A compressed body is 415 however its header is written, twice or in capitals."""
    body = gzip.compress(json.dumps(EVENT).encode())
    head = "".join(f"Content-Encoding: {each}\r\n" for each in encodings)
    async with server(Seen().receiver()) as url:
        reader, writer = await raw(f"{url}/{TOKEN}", f"{head}Content-Length: {len(body)}", body)
        assert b" 415 " in await reader.readline()
        writer.close()


@everywhere
async def test_a_sender_that_leaves_early(server: Any) -> None:
    """A coroutine of yours that has begun is finished although the sender has left. Closing waits for it."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(events: Any) -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    receiver = Seen().receiver(on_status=slow)
    async with server(receiver) as url:
        body = json.dumps(EVENT).encode()
        _, writer = await raw(f"{url}/{TOKEN}", f"Content-Length: {len(body)}", body)
        await begun.wait()
        writer.close()
        await writer.wait_closed()
        may_end.set()
        await receiver.aclose()
        assert ended.is_set()
        assert await post(f"{url}/{TOKEN}", EVENT) == 503


async def test_your_coroutine_has_a_time_limit() -> None:
    """A coroutine beyond hook_timeout is cancelled, and 503 answered."""
    cancelled = asyncio.Event()

    async def stuck(events: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with by_aiohttp(Seen().receiver(on_status=stuck, hook_timeout=0.01)) as url:
        assert await post(f"{url}/{TOKEN}", EVENT) == 503
        await cancelled.wait()


@everywhere
async def test_a_bound_on_requests(server: Any) -> None:
    """With as many requests in flight and waiting as allowed, others get 503 with Retry-After."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(events: Any) -> None:
        begun.set()
        await may_end.wait()

    receiver = Seen().receiver(on_status=slow, concurrency=1)
    body = json.dumps(EVENT).encode()
    async with server(receiver) as url:
        first = asyncio.create_task(post(f"{url}/{TOKEN}", EVENT))
        await begun.wait()
        waiting = [asyncio.create_task(receiver.handle("POST", TOKEN, {}, body)) for _ in range(MAX_WAITING)]
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{url}/{TOKEN}", json=EVENT) as response:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) > 0
        may_end.set()
        assert await first == 200
        assert set(await asyncio.gather(*waiting)) == {(200, b"")}
        assert await post(f"{url}/{TOKEN}", EVENT) == 200


@pytest.mark.parametrize(("missing", "body"), [("on_incoming", INCOMING), ("on_status", EVENT)])
async def test_a_kind_without_a_coroutine(missing: str, body: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A kind of event without a coroutine is answered 200, so that it is not repeated, and a warning says so."""
    seen = Seen()
    async with by_aiohttp(seen.receiver(**{missing: None})) as url:
        assert await post(f"{url}/{TOKEN}", body) == 200
    assert seen.calls == 0
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "1 dropped" in warning.getMessage()


@pytest.mark.parametrize(
    "wrong",
    [{"token": "short"}, {"on_status": None, "on_incoming": None}, {"on_status": 5}, {"on_incoming": "print"},
     {"hook_timeout": 0}, {"hook_timeout": 3_601}, {"hook_timeout": float("nan")}, {"body_timeout": "1"},
     {"body_timeout": True}, {"concurrency": 0}, {"concurrency": True}, {"concurrency": 1.0}],
)  # fmt: skip
def test_options_that_cannot_work(wrong: dict[str, Any]) -> None:
    """Options that cannot work are refused at construction, by an error that names the option."""
    with pytest.raises(ConfigurationError) as raised:
        Seen().receiver(**wrong)
    assert next(iter(wrong)) in str(raised.value)


def test_another_event_loop() -> None:
    """A receiver that is used on a second event loop, as WSGI servers do, says so by ConfigurationError."""
    receiver = Seen().receiver()
    body = json.dumps(EVENT).encode()
    assert asyncio.run(receiver.handle("POST", TOKEN, {}, body)) == (200, b"")
    with pytest.raises(ConfigurationError, match="run_coroutine_threadsafe"):
        asyncio.run(receiver.handle("POST", TOKEN, {}, body))


def test_no_token_in_frames() -> None:
    """No frame of a failed construction holds the token, as error trackers record the locals of every frame."""
    with pytest.raises(ConfigurationError) as raised:
        CallbackReceiver(token=[TOKEN, "weak sesame"], on_status=Seen().on_status)
    frames = [frame for frame, _ in walk_tb(raised.value.__traceback__)][1:]
    assert frames
    assert not any("sesame" in repr(frame.f_locals) or TOKEN in repr(frame.f_locals) for frame in frames)


async def test_handle() -> None:
    """handle answers a whole request of any framework with status and body. Header names come in any case."""
    seen = Seen()
    receiver = seen.receiver()
    assert await receiver.handle("POST", TOKEN, {}, json.dumps(EVENT).encode()) == (200, b"")
    assert await receiver.handle("POST", TOKEN, {"CONTENT-encoding": "br"}, b"") == (415, b"")
    assert await receiver.handle("POST", TOKEN, {"content-length": "9" * 5_000}, b"") == (413, b"")
    assert await receiver.handle("POST", TOKEN, {}, b" " * (MAX_BODY + 1)) == (413, b"")
    assert seen.calls == 1


@pytest.mark.parametrize("hook", [lambda events: None, lambda events: events.missing])
async def test_hooks_that_are_no_coroutines(hook: Callable[[Any], Awaitable[None]]) -> None:
    """A hook that is not a coroutine function, or raises at once, is an error of yours: 500."""
    assert await Seen().receiver(on_status=hook).handle("POST", TOKEN, {}, json.dumps(EVENT).encode()) == (500, b"")
