"""What all tests share: a small real HTTP service on loopback, and a watch for leaked tasks."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import settings

from devino_async.sandbox import Sandbox

sys.path.insert(0, str(Path(__file__).parent))
from loopback_service import Service

# No test is timed: the machine may be busy.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    made = Service()
    app = web.Application(client_max_size=10**9)
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def no_leaks() -> AsyncIterator[None]:
    """No task of ours outlives the test that began it."""
    yield
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("devino") and not task.done()]
    assert not left, left


@contextmanager
def running_sandbox(**options: Any) -> Iterator[str]:
    """A sandbox on an event loop of its own, so that tests can run programs and event loops of theirs."""
    ready: list[str] = []
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with Sandbox(**options) as sandbox:
            ready.append(sandbox.url)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(30)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


@pytest.fixture(scope="session")
def sandbox_url() -> Iterator[str]:
    """The address of a sandbox that lets everybody in."""
    with running_sandbox() as url:
        yield url


@pytest.fixture
def fast_url() -> Iterator[str]:
    """The address of a sandbox in which a message is final as soon as it is accepted."""
    with running_sandbox(stage=1e-6) as url:
        yield url


@pytest.fixture
def guarded_url() -> Iterator[str]:
    """The address of a sandbox that lets in one key only, which is `right`."""
    with running_sandbox(api_key="right") as url:
        yield url
