"""What contrib's files share, and what is special in aiohttp.web. All of them under real servers: tests/webhooks."""

import ast
import asyncio
import importlib
import json
import logging
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import devino_async
from devino_async import CallbackReceiver, new_token
from devino_async.contrib import aiohttp_web

FOLDER = Path(devino_async.__file__).parent / "contrib"
FRAMEWORKS = {"aiohttp_web": "aiohttp", "starlette": "starlette", "django": "django"}
TOKEN = new_token()
BODY = json.dumps({"messageId": "1", "ts": 1613404835977, "status": "DELIVERED"}).encode()


async def nothing(events: Any) -> None:
    """Do nothing with the events."""


def test_a_file_for_each_framework() -> None:
    """Every file is in the table of this test."""
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(FRAMEWORKS)


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_same_name_everywhere(name: str) -> None:
    """Each file offers `endpoint(receiver)`, keeps under 120 lines, and imports its own framework and no other."""
    pytest.importorskip(FRAMEWORKS[name])
    module = importlib.import_module(f"devino_async.contrib.{name}")
    assert "endpoint" in module.__all__
    assert callable(module.endpoint(CallbackReceiver(token=TOKEN, on_status=nothing)))
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert source.count("\n") < 120
    imported = {
        node.module.split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    assert imported & set(FRAMEWORKS.values()) == {FRAMEWORKS[name]}


async def raw(address: str, head: str, body: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST /{TOKEN} HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
    await writer.drain()
    return reader, writer


async def test_serving(caplog: pytest.LogCaptureFixture) -> None:
    """A server of its own lets callbacks in, logs no token in any logger, and closes the receiver at its end."""
    receiver = CallbackReceiver(token=TOKEN, on_status=nothing)
    with caplog.at_level(logging.INFO):
        async with aiohttp_web.serving(receiver) as address, aiohttp.ClientSession() as session:
            for token, status in ((TOKEN, 200), (new_token(), 404)):
                async with session.post(f"{address}/{token}", data=BODY) as response:
                    assert response.status == status
                assert token not in caplog.text
    assert await receiver.handle("POST", TOKEN, {}, BODY) == (503, b"")


async def test_a_broken_chunk() -> None:
    """A body that stops being HTTP in the middle calls no hook, is refused or cut off, and is not an app error."""
    called: list[Any] = []

    async def keep(events: Any) -> None:
        called.append(events)

    async with aiohttp_web.serving(CallbackReceiver(token=TOKEN, on_status=keep, body_timeout=0.05)) as address:
        reader, writer = await raw(address, "Transfer-Encoding: chunked", b"1\r\n[\r\nzz\r\n")
        answer = await reader.readline()
        assert not answer or b" 4" in answer
        writer.close()
    assert called == []


@pytest.mark.parametrize("handler_cancellation", [False, True])
async def test_a_handler_that_is_cancelled(handler_cancellation: bool) -> None:
    """Where aiohttp.web cancels handlers of senders that leave, a coroutine that has begun is finished all the same."""
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(events: Any) -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    receiver = CallbackReceiver(token=TOKEN, on_status=slow)
    left = asyncio.Event()
    handler = aiohttp_web.endpoint(receiver)

    async def watched(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except asyncio.CancelledError:
            left.set()
            raise

    app = web.Application()
    app.router.add_route("*", "/{token}", watched)
    runner = web.AppRunner(app, handler_cancellation=handler_cancellation, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        host, port = runner.addresses[0][:2]
        _, writer = await raw(f"http://{host}:{port}", f"Content-Length: {len(BODY)}", BODY)
        await begun.wait()
        writer.close()
        if handler_cancellation:
            await left.wait()
        may_end.set()
        await receiver.aclose()
    finally:
        await runner.cleanup()
    assert ended.is_set()
