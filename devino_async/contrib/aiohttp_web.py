"""aiohttp.web: app.router.add_route("*", "/devino/{token}", endpoint(receiver)).

What a request means is webhooks.py's.
"""

from collections.abc import Awaitable, Callable

from aiohttp import web

from ..webhooks import Receiver

__all__ = ["endpoint"]


def endpoint(receiver: Receiver) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler for the receiver. The token is the last part of the path, or `token=` in the query."""

    async def handler(request: web.Request) -> web.Response:
        token = request.query.get("token", request.path.rpartition("/")[2])
        status, body = await receiver.receive(
            request.method, token, request.headers, request.content.iter_chunked(65_536)
        )
        return web.Response(status=status, body=body, headers={"Allow": "POST"} if status == 405 else None)

    return handler
