"""A sandbox whose clock stands still until a test moves it, and a receiver of callbacks. No test here sleeps."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

sys.path.insert(0, str(Path(__file__).parent))

from asking import START, Asking, Receiver

from devino_async.sandbox import ManualClock, Sandbox


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    clock = ManualClock(START)
    async with Sandbox(clock=clock, stage=10.0) as sandbox:
        async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
            yield Asking(sandbox, clock, session)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    made, app = Receiver(), web.Application(client_max_size=2**24)
    app.router.add_post("/{anything:.*}", made.post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()
