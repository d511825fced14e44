"""The receiver as an ASGI application, on its own or mounted in another: requests, lifespan events, WebSockets.

Here ASGI messages become the arguments of `receive`, and its result becomes ASGI messages. What a request means, and
which status it gets, is decided in receiver.py.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from typing import Any, Protocol

from .tokens import token_of

__all__ = ["Receive", "Scope", "Send", "serve"]

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Receiver(Protocol):
    """The part of CallbackReceiver that this application needs."""

    async def receive(
        self, method: str, token: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
    ) -> tuple[int, bytes]:
        """Decide on a request and return the status and body of the answer."""
        ...

    def headers_for(self, status: int) -> dict[str, str]:
        """Return the headers that belong to a status."""
        ...

    async def aclose(self) -> None:
        """Refuse new requests and finish those that have begun."""
        ...


async def serve(receiver: Receiver, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one connection of an ASGI server."""
    if scope["type"] == "lifespan":
        await _live(receiver, receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
    elif scope["type"] == "http":
        await _answer(receiver, scope, receive, send)
    else:
        raise NotImplementedError(f"the ASGI scope type {scope['type']} is not supported")


async def _answer(receiver: Receiver, scope: Scope, receive: Receive, send: Send) -> None:
    headers: dict[str, str] = {}
    for name, value in ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]):
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    token = token_of(scope["path"], scope.get("query_string", b"").decode("latin-1"))
    try:
        async with aclosing(_chunks(receive)) as chunks:
            status, body = await receiver.receive(scope["method"], token, headers, chunks)
    except _Disconnected:
        return
    answered = {"Content-Length": "0", **receiver.headers_for(status)}
    if status in {408, 413} and scope.get("http_version", "").startswith("1"):
        # Otherwise the server would go on reading the rest of the body, which may never end.
        answered["Connection"] = "close"
    start = [(name.lower().encode(), value.encode()) for name, value in answered.items()]
    with suppress(OSError):  # The sender has disconnected.
        await send({"type": "http.response.start", "status": status, "headers": start})
        await send({"type": "http.response.body", "body": body})


async def _live(receiver: Receiver, receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await receiver.aclose()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class _Disconnected(Exception):
    """The sender disconnected before its body was complete."""


async def _chunks(receive: Receive) -> AsyncGenerator[bytes, None]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return
