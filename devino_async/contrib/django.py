"""Django under ASGI: path("devino/<path:token>", endpoint(receiver)). What a request means is decided in webhooks/.

`path:` lets an address with a slash at its end through, `str:` does not. Django reads a body before it calls a view, so
how long that may take, and how much may come without a Content-Length, is up to the server in front of it. The receiver
checks its limits all the same. To have them while the body comes, let asgi.py give `/devino/...` to the receiver
itself, which is an ASGI application. Not for WSGI, where each request has an event loop of its own: the receiver raises
ConfigurationError on the second one.
"""

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from ..webhooks.receiver import MAX_BODY, CallbackReceiver
from ..webhooks.tokens import token_of

__all__ = ["endpoint"]


def endpoint(receiver: CallbackReceiver) -> Callable[..., Awaitable[HttpResponse]]:
    """Return a view for the receiver. The token is the route's `token`, or `token=` in the query."""

    async def view(request: HttpRequest, token: str = "") -> HttpResponse:
        body: bytes = request.read(MAX_BODY + 1)
        given = token_of(token, request.META.get("QUERY_STRING", ""))
        status, answer = await receiver.handle(request.method or "", given, dict(request.headers), body)
        return HttpResponse(answer, status=status, headers=receiver.headers_for(status))

    exempt: Callable[..., Awaitable[HttpResponse]] = csrf_exempt(view)
    return exempt
