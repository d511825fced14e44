"""Django under ASGI: path("devino/<path:token>", endpoint(receiver)). What a request means is decided in webhooks/.

Use `path:`, because `str:` does not match an address with a trailing slash. Django reads the whole body before it calls
a view. So the server in front of Django must limit how long that takes, and how much may arrive without a
Content-Length. The receiver still checks its own limits afterwards. To enforce them while the body arrives, route
`/devino/...` in your project's asgi.py to the receiver itself, which is an ASGI application. Do not use this under
WSGI, where each request has an event loop of its own: the receiver raises ConfigurationError on the second loop.
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
