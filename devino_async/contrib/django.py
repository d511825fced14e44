"""Django under ASGI: path("devino/<str:token>", endpoint(receiver)). What a request means is webhooks.py's.

Django reads a body before it calls a view, so how long that may take, and how much may come without a Content-Length,
is up to the server in front of it. The receiver's limits are checked all the same.
"""

from collections.abc import Awaitable, Callable

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from ..webhooks import MAX_BODY, Receiver

__all__ = ["endpoint"]


def endpoint(receiver: Receiver) -> Callable[..., Awaitable[HttpResponse]]:
    """A view for the receiver. The token is the route's `token`, or `token=` in the query."""

    async def view(request: HttpRequest, token: str = "") -> HttpResponse:
        body: bytes = request.read(MAX_BODY + 1)
        status, answer = await receiver.handle(
            request.method or "", request.GET.get("token", token), dict(request.headers), body
        )
        return HttpResponse(answer, status=status, headers={"Allow": "POST"} if status == 405 else None)

    exempt: Callable[..., Awaitable[HttpResponse]] = csrf_exempt(view)
    return exempt
