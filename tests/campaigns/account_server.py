"""A pretend account on an event loop of its own, for tests that run programs and event loops of theirs."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from account import Account
from aiohttp import web


@contextmanager
def account_server(account: Account) -> Iterator[str]:
    """Serve the account from a thread. Gives its address."""
    ready: list[str] = []
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def answer(request: web.Request) -> web.StreamResponse:
        return await account(request, await request.json() if request.can_read_body else None)

    async def serve() -> None:
        app = web.Application(client_max_size=10**9)
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert started.wait(30)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
