"""Starlette and FastAPI: app.add_route("/devino/{token:path}", endpoint(receiver), methods=METHODS).

What a request means is decided in webhooks/. The route has `:path` because Starlette would otherwise redirect a request
for an address with a trailing slash. As the receiver is an ASGI application too, app.mount("/devino", receiver) does
the same.
"""

from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from ..webhooks.receiver import CallbackReceiver
from ..webhooks.tokens import token_of

__all__ = ["METHODS", "endpoint"]

METHODS = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
"""All methods. The receiver refuses wrong ones itself, so without a valid token a sender learns nothing."""


def endpoint(receiver: CallbackReceiver) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint for the receiver. The token is the last part of the path, or `token=` in the query."""

    async def handler(request: Request) -> Response:
        token = token_of(request.scope["path"], request.url.query)
        try:
            status, body = await receiver.receive(request.method, token, request.headers, request.stream())
        except ClientDisconnect:
            status, body = 400, b""
        return Response(body, status, receiver.headers_for(status))

    return handler
