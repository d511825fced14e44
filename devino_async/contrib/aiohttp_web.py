"""aiohttp.web: app.router.add_route("*", "/devino/{token:.+}", endpoint(receiver)).

What a request means is decided in webhooks/. The route has `:.+` because aiohttp's router would otherwise refuse an
address with a trailing slash before this file sees it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from ..webhooks.gate import Gate, OncePerMinute
from ..webhooks.receiver import CallbackReceiver
from ..webhooks.tokens import token_of

__all__ = ["endpoint", "serving"]

_KEEP_ALIVE = 75.0  # seconds that a connection with a valid token may idle


def endpoint(receiver: CallbackReceiver) -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
    """Return a handler for the receiver. The token is the last part of the path, or `token=` in the query."""

    async def handler(request: web.BaseRequest) -> web.Response:
        try:
            status, body = await receiver.receive(
                request.method, _token_of(request), request.headers, request.content.iter_chunked(65_536)
            )
        except (web.RequestPayloadError, ConnectionError):
            # The sender disconnected in the middle of its body, or sent something that is not HTTP.
            status, body = 400, b""
        return web.Response(status=status, body=body, headers=receiver.headers_for(status))

    return handler


@asynccontextmanager
async def serving(
    receiver: CallbackReceiver,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    header_timeout: float = 10.0,
    max_unauthenticated: int = 256,
) -> AsyncIterator[str]:
    """Run a server for a receiver and yield its address, without the token. Add the token to it yourself.

    A connection that has sent no valid token after `header_timeout` seconds is closed. If more than
    `max_unauthenticated` connections have sent no valid token yet, the oldest of them is closed too. While the server
    runs, it handles the event loop's errors about a lack of free descriptors. At the end of the block it refuses new
    requests and finishes those in flight. Raises OSError if the port is not free.
    """
    gate = Gate(max_unauthenticated=max_unauthenticated, header_timeout=header_timeout)
    answer = endpoint(receiver)

    async def handler(request: web.BaseRequest) -> web.Response:
        if receiver.lets_in(_token_of(request)):
            gate.proved(request.transport)
        return await answer(request)

    # No access log: it would hold the token.
    server = _Server(handler, gate)
    runner = web.ServerRunner(server)
    await runner.setup()
    gate.watch_descriptors()
    try:
        await web.TCPSite(runner, host, port).start()
        bound = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        await runner.cleanup()
        gate.unwatch_descriptors()
        await receiver.aclose()


class _Server(web.Server):
    """aiohttp's server, with a Gate for its connections."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.Response]], gate: Gate) -> None:
        super().__init__(handler, access_log=None, logger=_Refusals(), keepalive_timeout=_KEEP_ALIVE)
        self._gate = gate
        self._transports: dict[web.RequestHandler, asyncio.Transport] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count a new connection."""
        super().connection_made(handler, transport)
        self._transports[handler] = transport
        self._gate.entered(transport)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Stop counting a connection."""
        self._gate.proved(self._transports.pop(handler, None))
        super().connection_lost(handler, exc)


class _Refusals(logging.Logger):
    """The logger of aiohttp's server. A normal logger would write a traceback for each request that is not HTTP."""

    def __init__(self) -> None:
        super().__init__("devino_async.contrib.aiohttp_web", logging.ERROR)
        self._warnings = OncePerMinute(asyncio.get_running_loop().time)

    def handle(self, record: logging.LogRecord) -> None:
        """Log the class of the error, at most once a minute. The error's text is left out, as it may hold anything."""
        kind = record.exc_info[0] if record.exc_info else None
        self._warnings.say(f"a request failed in the server: {kind.__name__ if kind else record.levelname}")


def _token_of(request: web.BaseRequest) -> str:
    return token_of(request.path, request.rel_url.raw_query_string)
