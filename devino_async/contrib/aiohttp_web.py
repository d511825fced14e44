"""aiohttp.web: app.router.add_route("*", "/devino/{token}", endpoint(receiver)).

What a request means is decided in webhooks/.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from ..webhooks.receiver import CallbackReceiver
from ..webhooks.tokens import token_of

__all__ = ["endpoint", "serving"]


def endpoint(receiver: CallbackReceiver) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler for the receiver. The token is the last part of the path, or `token=` in the query."""

    async def handler(request: web.Request) -> web.Response:
        token = token_of(request.path, request.rel_url.raw_query_string)
        try:
            status, body = await receiver.receive(
                request.method, token, request.headers, request.content.iter_chunked(65_536)
            )
        except (web.RequestPayloadError, ConnectionError):
            # The sender left in the middle of its body, or sent something that is not HTTP.
            status, body = 400, b""
        return web.Response(status=status, body=body, headers=receiver.headers_for(status))

    return handler


@asynccontextmanager
async def serving(receiver: CallbackReceiver, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Run a server for a receiver and yield its address, to which the token is still to be added.

    At the end of the block it lets no more in and finishes what is in flight. Raises OSError if the port is not free.
    """
    app = web.Application()
    app.router.add_route("*", "/{token}", endpoint(receiver))
    # No access log: it would hold the token.
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        await runner.cleanup()
        await receiver.aclose()
