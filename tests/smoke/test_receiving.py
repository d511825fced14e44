"""Smoke: callbacks by every door that is installed, into a tracker that keeps a file."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from devino_async import (
    CallbackReceiver,
    DeliveryTracker,
    DevinoClient,
    Message,
    SQLiteStore,
    Status,
    StatusCallback,
    new_token,
)
from devino_async.contrib import aiohttp_web
from devino_async.sandbox import Sandbox

TOKEN = new_token()
BODY = json.dumps({"messageId": "1", "ts": 1613404835977, "status": "DELIVERED"}).encode()


async def test_a_message_is_followed(sandbox: Sandbox, tmp_path: Path) -> None:
    """The sandbox reports to a receiver. The tracker writes it to its file, and `wait` returns the last status."""
    async with DeliveryTracker(SQLiteStore(tmp_path / "deliveries.db")) as tracker:
        receiver = CallbackReceiver(token=TOKEN, on_status=tracker.on_status)
        async with aiohttp_web.serving(receiver) as address, DevinoClient("right", base_url=sandbox.url) as devino:
            there = f"{address}/{TOKEN}"
            message = Message(sender="MyCompany", to="79000000001", text="Hello", callback_url=there)
            receipt = (await devino.send(message)).raise_for_outcome()
            await tracker.on_receipts([receipt])
            assert (await tracker.wait(receipt.message_id, timeout=20)).status is Status.DELIVERED
    async with DeliveryTracker(SQLiteStore(tmp_path / "deliveries.db")) as tracker:
        assert (await tracker.delivery(receipt.message_id)).final


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, ws="none", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def asgi(receiver: CallbackReceiver) -> Any:
    return receiver


def starlette(receiver: CallbackReceiver) -> Any:
    from starlette.applications import Starlette

    from devino_async.contrib.starlette import METHODS, endpoint

    app = Starlette()
    app.add_route("/devino/{token}", endpoint(receiver), methods=METHODS)
    return app


def fastapi(receiver: CallbackReceiver) -> Any:
    from fastapi import FastAPI

    from devino_async.contrib.starlette import METHODS, endpoint

    app = FastAPI()
    app.add_route("/devino/{token}", endpoint(receiver), methods=METHODS)
    return app


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(asgi, marks=pytest.mark.needs("uvicorn")),
        pytest.param(starlette, marks=pytest.mark.needs("uvicorn", "starlette")),
        pytest.param(fastapi, marks=pytest.mark.needs("uvicorn", "fastapi")),
    ],
)
async def test_frameworks(app: Any) -> None:
    """A callback comes in by each framework, and one with a wrong token does not."""
    seen: list[StatusCallback] = []

    async def keep(events: Any) -> None:
        seen.extend(events)

    receiver = CallbackReceiver(token=TOKEN, on_status=keep)
    async with served(app(receiver)) as address, aiohttp.ClientSession() as session:
        for token, status in ((TOKEN, 200), (new_token(), 404)):
            async with session.post(f"{address}/devino/{token}", data=BODY) as response:
                assert response.status == status
    assert [event.status for event in seen] == [Status.DELIVERED]


@pytest.mark.needs("django")
async def test_django() -> None:
    """A callback comes in by Django's view, and one with a wrong token does not."""
    from django.conf import settings
    from django.test import AsyncRequestFactory

    from devino_async.contrib.django import endpoint

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="x")
    seen: list[StatusCallback] = []

    async def keep(events: Any) -> None:
        seen.extend(events)

    view = endpoint(CallbackReceiver(token=TOKEN, on_status=keep))
    for token, status in ((TOKEN, 200), (new_token(), 404)):
        request = AsyncRequestFactory().post("/", BODY, content_type="application/json")
        assert (await view(request, token=token)).status_code == status
    assert [event.status for event in seen] == [Status.DELIVERED]
