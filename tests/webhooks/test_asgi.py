"""The receiver as an ASGI application: its messages, the server's life, web sockets, endless bodies."""

import json
from typing import Any

import pytest
from web_servers import EVENT, TOKEN, Seen, by_asgi, raw

from devino_async.webhooks.receiver import MAX_BODY, CallbackReceiver

BODY = json.dumps(EVENT).encode()


async def asgi(receiver: CallbackReceiver, scope: dict[str, Any], *messages: dict[str, Any]) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []
    waiting = list(messages)

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await receiver(scope, receive, send)
    return sent


async def test_asgi_life() -> None:
    """As an ASGI application the receiver starts and closes with the server, and refuses web sockets."""
    receiver = Seen().receiver()
    told = await asgi(receiver, {"type": "lifespan"}, {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    assert [each["type"] for each in told] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    [closed] = await asgi(receiver, {"type": "websocket"}, {"type": "websocket.connect"})
    assert closed["type"] == "websocket.close"
    with pytest.raises(NotImplementedError):
        await asgi(receiver, {"type": "something new"})
    status, _ = await receiver.handle("POST", TOKEN, {}, b"[]")
    assert status == 503


@pytest.mark.parametrize(
    "head", [f"Content-Length: {MAX_BODY + 1}", "Content-Length: 100", "Transfer-Encoding: chunked"]
)
async def test_endless_bodies_are_cut_off(head: str) -> None:
    """After 413 and 408 the connection is closed, so the server need not read the rest of a body that never ends."""
    async with by_asgi(Seen().receiver(body_timeout=0.05)) as url:
        reader, writer = await raw(f"{url}/{TOKEN}", head, b"")
        answer = await reader.read()
        assert answer.startswith((b"HTTP/1.1 413 ", b"HTTP/1.1 408 "))
        assert b"connection: close" in answer.lower()
        writer.close()


async def asked_by_asgi(
    receiver: CallbackReceiver, body: bytes, version: str = "1.1", fails: bool = False
) -> dict[bytes, bytes]:
    """The headers of the answer, and its status as `:status`. `fails`: the sender has left before the answer."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    told: dict[bytes, bytes] = {}

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        if fails:
            raise ConnectionResetError
        if message["type"] == "http.response.start":
            told.update(message["headers"])
            told[b":status"] = str(message["status"]).encode()

    scope = {"type": "http", "http_version": version, "method": "POST", "path": f"/{TOKEN}", "headers": []}
    await receiver(scope, receive, send)
    return told


async def test_asgi_answers() -> None:
    """Header names are lower-case bytes, `connection` is for HTTP/1 alone, a sender that has left is not an error."""
    seen = Seen()
    receiver = seen.receiver()
    assert await asked_by_asgi(receiver, BODY) == {b":status": b"200", b"content-length": b"0"}
    long = b" " * 300_000
    assert (await asked_by_asgi(receiver, long))[b"connection"] == b"close"
    assert await asked_by_asgi(receiver, long, "2") == {b":status": b"413", b"content-length": b"0"}
    assert await asked_by_asgi(receiver, BODY, fails=True) == {}
    assert seen.calls == 2
