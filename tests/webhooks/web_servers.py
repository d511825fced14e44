"""The receiver under each web server and framework, and senders that POST to it over real HTTP."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from devino_async import CallbackReceiver, IncomingMessage, StatusCallback, new_token
from devino_async.contrib import aiohttp_web

WIRE = Path(__file__).parents[1] / "wire"
TOKEN, OTHER = new_token(), new_token()
EVENT = {"messageId": "3597944866766620289", "ts": 1613404835977, "status": "DELIVERED", "errorCode": 0}
INCOMING = json.loads((WIRE / "incoming_message.json").read_text(encoding="utf-8"))


class Seen:
    """The events that reached the hooks."""

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


def shown_route(module: Any) -> str:
    """The route that the docstring of a file in contrib/ shows, so that it is what the tests use."""
    [shown] = re.findall(r'"(/?devino/[^"]*token[^"]*)"', module.__doc__)
    return str(shown)


@asynccontextmanager
async def by_aiohttp(receiver: CallbackReceiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", shown_route(aiohttp_web), aiohttp_web.endpoint(receiver))
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
    for path in (shown_route(starlette), "/devino"):
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

    from devino_async.contrib import django

    if not settings.configured:
        settings.configure()
    # Another file of tests in this process may have configured it.
    settings.ROOT_URLCONF, settings.ALLOWED_HOSTS, settings.SECRET_KEY = Urls, ["*"], "x"
    settings.LOGGING_CONFIG = None
    settings.MIDDLEWARE = ["django.middleware.csrf.CsrfViewMiddleware"]
    Urls.urlpatterns = [
        path(shown_route(django), django.endpoint(receiver)),
        path("devino", django.endpoint(receiver)),
    ]
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


async def refused(url: str, body: Any) -> int | None:
    """The status, or None where the server closed the connection while more was being sent."""
    try:
        return await post(url, body)
    except aiohttp.ClientConnectionError:
        return None


async def raw(url: str, head: str, body: bytes = b"") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = url.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    path = "/" + url.split("/", 3)[3]
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
    await writer.drain()
    return reader, writer
