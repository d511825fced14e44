"""The receiver under real servers with real HTTP: aiohttp.web, uvicorn, Starlette's and FastAPI's routes, Django."""

import asyncio
import gzip
import json
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from devino_async import ConfigurationError, IncomingMessage, Status, StatusCallback
from devino_async.contrib import aiohttp_web
from devino_async.webhooks.receiver import MAX_BODY, MAX_EVENTS, CallbackReceiver, new_token

WIRE = Path(__file__).parents[1] / "wire"
TOKEN, OTHER = new_token(), new_token()
EVENT = {"messageId": "3597944866766620289", "ts": 1613404835977, "status": "DELIVERED", "errorCode": 0}
INCOMING = json.loads((WIRE / "incoming_message.json").read_text(encoding="utf-8"))


class Seen:
    """What the coroutines were given."""

    def __init__(self) -> None:
        self.statuses: list[StatusCallback] = []
        self.incoming: list[IncomingMessage] = []
        self.calls = 0

    async def on_status(self, events: Any) -> None:
        self.calls += 1
        self.statuses += events

    async def on_incoming(self, events: Any) -> None:
        self.calls += 1
        self.incoming += events

    def receiver(self, **options: Any) -> CallbackReceiver:
        return CallbackReceiver(
            **{"token": [TOKEN, OTHER], "on_status": self.on_status, "on_incoming": self.on_incoming, **options}
        )


@asynccontextmanager
async def by_aiohttp(receiver: CallbackReceiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/devino/{token}", aiohttp_web.endpoint(receiver))
    app.router.add_route("*", "/devino", aiohttp_web.endpoint(receiver))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/devino"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def by_uvicorn(app: Any) -> AsyncIterator[str]:
    uvicorn = pytest.importorskip("uvicorn")
    config = uvicorn.Config(app, port=0, log_config=None, ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/devino"
    finally:
        server.should_exit = True
        await serving


def by_asgi(receiver: CallbackReceiver) -> Any:
    return by_uvicorn(receiver)


def by_fastapi(receiver: CallbackReceiver) -> Any:
    fastapi = pytest.importorskip("fastapi")
    starlette = pytest.importorskip("devino_async.contrib.starlette")
    app = fastapi.FastAPI()
    for path in ("/devino/{token}", "/devino"):
        app.add_route(path, starlette.endpoint(receiver), methods=starlette.METHODS)
    return by_uvicorn(app)


def by_mount(receiver: CallbackReceiver) -> Any:
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()
    app.mount("/devino", receiver)
    return by_uvicorn(app)


class Urls:
    """Django finds its routes here."""

    urlpatterns: ClassVar[list[Any]] = []


def by_django(receiver: CallbackReceiver) -> Any:
    pytest.importorskip("django")
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.urls import clear_url_caches, path

    from devino_async.contrib.django import endpoint

    if not settings.configured:
        settings.configure()
    # Another file of tests in this process may have configured it.
    settings.ROOT_URLCONF, settings.ALLOWED_HOSTS, settings.SECRET_KEY = Urls, ["*"], "x"
    settings.LOGGING_CONFIG = None
    settings.MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
    Urls.urlpatterns = [path("devino/<str:token>", endpoint(receiver)), path("devino", endpoint(receiver))]
    clear_url_caches()
    return by_uvicorn(get_asgi_application())


SERVERS: dict[str, Callable[[CallbackReceiver], Any]] = {
    "aiohttp.web": by_aiohttp,
    "ASGI": by_asgi,
    "FastAPI": by_fastapi,
    "FastAPI, mounted": by_mount,
    "Django": by_django,
}
everywhere = pytest.mark.parametrize("server", SERVERS.values(), ids=SERVERS)
# Django reads the body before it calls anybody.
streaming = pytest.mark.parametrize("server", [SERVERS[name] for name in SERVERS if name != "Django"])


async def post(url: str | URL, body: Any, **options: Any) -> int:
    data = body if isinstance(body, bytes) or hasattr(body, "__aiter__") else json.dumps(body).encode()
    async with aiohttp.ClientSession() as session, session.post(url, data=data, **options) as response:
        assert await response.read() == b"" or response.status >= 400
        return response.status


@everywhere
async def test_the_page_s_examples(server: Any) -> None:
    """The page's own callbacks and its incoming message arrive as values, and are answered 200 with an empty body."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        for name in ("callback_delivered", "callback_rejected", "incoming_message"):
            assert await post(f"{url}/{TOKEN}", (WIRE / f"{name}.json").read_bytes()) == 200
    assert [each.status for each in seen.statuses] == [Status.DELIVERED, Status.REJECTED]
    assert [each.incoming_message_id for each in seen.incoming] == [INCOMING["incomingMessageId"]]


@everywhere
async def test_tokens(server: Any) -> None:
    """Any of the tokens is let in, by path or query; wrong, missing or cut ones are 404, whatever the method."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        for right in (f"{url}/{TOKEN}", f"{url}/{OTHER}", f"{url}?token={TOKEN}", f"{url}/x?token={OTHER}"):
            assert await post(right, EVENT) == 200
        for wrong in (f"{url}/{new_token()}", f"{url}?token=", url, f"{url}/{TOKEN[:-1]}", f"{url}/%D0%AF"):
            assert await post(wrong, EVENT) == 404
            async with aiohttp.ClientSession() as session, session.get(wrong) as response:
                assert response.status == 404
    assert seen.calls == 4


@everywhere
async def test_where_the_token_is(server: Any) -> None:
    """The same address means the same everywhere: the first `token=` counts, then the path, both decoded."""
    seen, wrong = Seen(), new_token()
    encoded = f"%{ord(TOKEN[0]):02X}{TOKEN[1:]}"
    async with server(seen.receiver()) as url:
        for right in (f"{url}?token={TOKEN}&token={wrong}", f"{url}/{wrong}?token={encoded}", f"{url}/{encoded}"):
            assert await post(URL(right, encoded=True), EVENT) == 200
        for other in (f"{url}?token={wrong}&token={TOKEN}", f"{url}/{TOKEN}?token={wrong}", f"{url}/{TOKEN}/x"):
            assert await post(URL(other, encoded=True), EVENT) == 404
    assert seen.calls == 3


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
    """A body over 256 KiB is 413, whether its length is told or not, and nobody is called; one that fits is taken."""
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


async def refused(url: str, body: Any) -> int | None:
    """The status, or None where the server hung up on who went on sending."""
    try:
        return await post(url, body)
    except aiohttp.ClientConnectionError:
        return None


@everywhere
async def test_too_many_events(server: Any) -> None:
    """More than 1,000 events in a body are refused."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        assert await post(f"{url}/{TOKEN}", [EVENT] * (MAX_EVENTS + 1)) == 400
    assert seen.calls == 0


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
    b'[{"messageId":"1","ts":1,"status":"SENT"},{}]', b'{"messageId":"1","ts":1,"status":"SENT"} x',
    rb'{"messageId":"\ud800","ts":1,"status":"SENT"}', rb'{"messageId":"1\u0000","ts":1,"status":"SENT"}',
    b'[{"incomingMessageId":"1","ts":1},{"messageId":"1","ts":1,"status":"SENT"}]', b"a=b&c=d",
]  # fmt: skip


@pytest.mark.parametrize("server", [by_aiohttp, by_asgi])
@pytest.mark.parametrize("body", BAD, ids=lambda body: repr(body[:40]))
async def test_bad_bodies(server: Any, body: bytes) -> None:
    """A body that is no callback is 400 and calls nobody."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        assert await post(f"{url}/{TOKEN}", body) == 400
    assert seen.calls == 0


@everywhere
async def test_what_is_unknown_is_kept(server: Any) -> None:
    """Unknown keys and statuses are kept; object or array, text or number ids and times are the same."""
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
    """If your coroutine raises, 500 is answered so that the sender repeats; what it said is not logged."""

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


async def raw(url: str, head: str, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path = "/" + url.split("/", 3)[3]
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
    await writer.drain()
    return reader, writer


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
    """A sender that leaves in the middle of its body calls nobody and is no error; the next one is served."""
    seen = Seen()
    async with server(seen.receiver()) as url:
        _, writer = await raw(f"{url}/{TOKEN}", "Content-Length: 100", json.dumps(EVENT).encode())
        writer.close()
        await writer.wait_closed()
        assert await post(f"{url}/{TOKEN}", EVENT) == 200
    assert seen.calls == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@streaming
async def test_a_body_told_too_long_is_not_awaited(server: Any) -> None:
    """A Content-Length above the limit is 413 before anything of the body has come."""
    async with server(Seen().receiver()) as url:
        reader, writer = await raw(f"{url}/{TOKEN}", f"Content-Length: {MAX_BODY + 1}")
        assert b" 413 " in await reader.readline()
        writer.close()


@pytest.mark.parametrize(
    "head", [f"Content-Length: {MAX_BODY + 1}", "Content-Length: 100", "Transfer-Encoding: chunked"]
)
async def test_who_sends_for_ever_is_cut_off(head: str) -> None:
    """After 413 and 408 the connection is closed, so that the rest of the body need not be read for ever."""
    async with by_asgi(Seen().receiver(body_timeout=0.05)) as url:
        reader, writer = await raw(f"{url}/{TOKEN}", head, b"")
        answer = await reader.read()
        assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 408 "))
        assert b"connection: close" in answer.lower()
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
    """A coroutine of yours that has begun is finished although the sender has left; closing waits for it."""
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
    """Beyond concurrency and queue requests are told to come again, and with a place free they are served."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(events: Any) -> None:
        begun.set()
        await may_end.wait()

    async with server(Seen().receiver(on_status=slow, concurrency=1, queue=0)) as url:
        first = asyncio.create_task(post(f"{url}/{TOKEN}", EVENT))
        await begun.wait()
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{url}/{TOKEN}", json=EVENT) as response:
                assert response.status == 503
                assert int(response.headers["Retry-After"]) > 0
        may_end.set()
        assert await first == 200
        assert await post(f"{url}/{TOKEN}", EVENT) == 200


@pytest.mark.parametrize(("missing", "body"), [("on_incoming", INCOMING), ("on_status", EVENT)])
async def test_a_kind_that_nobody_wants(missing: str, body: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A kind of event that has no coroutine is answered 200, so that nobody repeats it, and a warning says so."""
    seen = Seen()
    async with by_aiohttp(seen.receiver(**{missing: None})) as url:
        assert await post(f"{url}/{TOKEN}", body) == 200
    assert seen.calls == 0
    [warning] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "1 dropped" in warning.getMessage()


@everywhere
async def test_no_token_in_logs(server: Any, caplog: pytest.LogCaptureFixture) -> None:
    """No line of ours holds a token, right or wrong, whatever was answered; nor does a repr."""
    receiver, wrong = Seen().receiver(), new_token()
    with caplog.at_level(logging.DEBUG, logger="devino_async"):
        async with server(receiver) as url:
            for token, body in ((TOKEN, EVENT), (TOKEN, b"x"), (wrong, EVENT), (TOKEN, b"x" * (MAX_BODY + 1))):
                await refused(f"{url}/{token}", body)
    said = " ".join(str(vars(record)) for record in caplog.records if record.name == "devino_async")
    assert said
    assert not any(token in said + repr(receiver) for token in (TOKEN, OTHER, wrong))


@given(st.text(max_size=60) | st.sampled_from([TOKEN, OTHER, TOKEN.upper(), TOKEN + " ", "\ud800"]))
def test_only_equal_tokens(token: str) -> None:
    """A token is right exactly if it equals one of them; odd ones are wrong and do no harm."""
    assert Seen().receiver()._knows(token) == (token in {TOKEN, OTHER})


def test_all_tokens_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every token is compared in constant time, whichever is right, so that time tells nothing."""
    from devino_async.webhooks import receiver as webhooks

    compared: list[bool] = []
    honest = webhooks.hmac.compare_digest
    monkeypatch.setattr(webhooks.hmac, "compare_digest", lambda a, b: compared.append(honest(a, b)) or compared[-1])
    assert Seen().receiver()._knows(TOKEN)
    assert compared == [True, False]


@pytest.mark.parametrize(
    "wrong",
    [{"token": "short"}, {"token": []}, {"token": [TOKEN, 5]}, {"token": "x y" * 20}, {"token": None},
     {"on_status": None, "on_incoming": None}, {"on_status": 5}, {"hook_timeout": 0}, {"body_timeout": "1"},
     {"hook_timeout": float("nan")}, {"concurrency": 0}, {"concurrency": True}, {"queue": -1}, {"queue": 1.0},
     {"token": secrets.token_hex(24)}, {"token": "7" * 63}],
)  # fmt: skip
def test_options_that_cannot_work(wrong: dict[str, Any]) -> None:
    """Weak tokens and options that cannot work are refused when the receiver is made, by name, without the token."""
    with pytest.raises(ConfigurationError) as raised:
        Seen().receiver(**wrong)
    assert next(iter(wrong)) in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_new_tokens() -> None:
    """Tokens differ, are safe in URLs and hold 32 random bytes."""
    made = {new_token() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) >= 43 and each.replace("-", "").replace("_", "").isalnum() for each in made)
    for strong in (*made, secrets.token_hex(32)):
        Seen().receiver(token=strong)


async def asgi(receiver: CallbackReceiver, scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await receiver(scope, receive, send)
    return sent


async def test_asgi_life() -> None:
    """As an ASGI application the receiver starts, closes with the server and refuses web sockets."""
    receiver = Seen().receiver()
    told = await asgi(receiver, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [each["type"] for each in told] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    [closed] = await asgi(receiver, {"type": "websocket"}, {"type": "websocket.connect"})
    assert closed["type"] == "websocket.close"
    with pytest.raises(NotImplementedError):
        await asgi(receiver, {"type": "something new"})
    status, _ = await receiver.handle("POST", TOKEN, {}, b"[]")
    assert status == 503


async def test_handle() -> None:
    """handle takes a whole request from any framework and gives status and body; header names in any case."""
    seen = Seen()
    receiver = seen.receiver()
    assert await receiver.handle("POST", TOKEN, {}, json.dumps(EVENT).encode()) == (200, b"")
    assert await receiver.handle("POST", TOKEN, {"CONTENT-encoding": "br"}, b"") == (415, b"")
    assert await receiver.handle("POST", TOKEN, {"content-length": "9" * 5_000}, b"") == (413, b"")
    assert await receiver.handle("POST", TOKEN, {}, b" " * (MAX_BODY + 1)) == (413, b"")
    assert seen.calls == 1


@pytest.mark.parametrize("hook", [lambda events: None, lambda events: events.missing])
async def test_hooks_that_are_no_coroutines(hook: Callable[[Any], Awaitable[None]]) -> None:
    """A hook that is no coroutine function, or raises at once, is an error of yours: 500."""
    assert await Seen().receiver(on_status=hook).handle("POST", TOKEN, {}, json.dumps(EVENT).encode()) == (500, b"")
