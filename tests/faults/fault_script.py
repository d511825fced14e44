"""The language in which faults are written: small frozen steps that a connection of fault_server.py plays.

Also the bytes of answers. What a client should conclude from them stands in the tables.
"""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

if TYPE_CHECKING:
    from fault_server import Connection, Request

Goal = Literal["head", "request", "end"] | int | float
"""How far to read: to the end of the head or of the request, until the client closes, the first so many bytes, or
this share of the body (a float)."""

How = Literal["fin", "rst", "stall", "eof"]
ALL_BUT_ONE = -1


@frozen
class Take:
    """Read exactly this far and no byte more. ALL_BUT_ONE leaves one byte of the body."""

    goal: Goal

    async def __call__(self, connection: "Connection") -> None:
        await connection.read_to(self.goal)


@frozen
class Say:
    """Write bytes, or what a function makes of the request. `refuses` marks a whole answer that refuses the call."""

    what: "bytes | Callable[[Request], bytes]"
    refuses: bool = False

    async def __call__(self, connection: "Connection") -> None:
        what = self.what if isinstance(self.what, bytes) else self.what(connection.request)
        connection.say(what, refuses=self.refuses)


@frozen
class Pause:
    """Let so many turns of the event loop pass."""

    turns: int

    async def __call__(self, connection: "Connection") -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)


@frozen
class Trickle:
    """Write the bytes one by one, again and again, with a pause after each, until the client is gone."""

    what: bytes
    pause: float

    async def __call__(self, connection: "Connection") -> None:
        while not connection.transport.is_closing():
            for at in range(len(self.what)):
                connection.say(self.what[at : at + 1])
                await asyncio.sleep(self.pause)


@frozen
class Sip:
    """Read a little at a time with a pause after each, until the client is gone."""

    step: int
    pause: float

    async def __call__(self, connection: "Connection") -> None:
        while not connection.transport.is_closing():
            await connection.read_to(len(connection.raw) + self.step)
            await asyncio.sleep(self.pause)


@frozen
class Flood:
    """Write the bytes for ever, as fast as they are taken."""

    what: bytes

    async def __call__(self, connection: "Connection") -> None:
        while not connection.transport.is_closing():
            if connection.transport.get_write_buffer_size() < 1_000_000:
                connection.say(self.what)
            await asyncio.sleep(0)


@frozen
class End:
    """The end of the connection: FIN, RST, or silence until the server is closed.

    "eof" is a FIN after which the server reads on, so that the ground truth holds all that was still on the way (a
    plain FIN under TLS, which knows no half of a close).
    """

    how: How

    async def __call__(self, connection: "Connection") -> None:
        await connection.end(self.how)


Step = Callable[["Connection"], Any]
Script = tuple[Step, ...]


def http(status: int | str, body: bytes | str = b"", *headers: str, length: int | str | None = -1) -> bytes:
    """A whole answer. `length` is the Content-Length: -1 the right one, None for none."""
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Said So", "Content-Type: application/json", *headers]
    if length is not None:
        lines.append(f"Content-Length: {len(raw) if length == -1 else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """A 200 in chunked coding."""
    head = http(200, b"", "Transfer-Encoding: chunked", length=None)
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


def id_for(phone: str) -> str:
    """The id that this server gives to the message for that phone; it does not show the phone."""
    return f"37{int(phone) * 7}"


def results(request: "Request") -> list[dict[str, Any]]:
    """An OK for every message of the request."""
    return [{"code": "OK", "messageId": id_for(phone)} for phone in request.phones]


def ok_body(request: "Request") -> bytes:
    """The body of a 200 that accepts everything."""
    return json.dumps({"result": results(request)}).encode()


def ok(request: "Request") -> bytes:
    """A 200 that accepts everything."""
    return http(200, ok_body(request))


def altered(change: Callable[[list[Any]], list[Any]], status: int = 200) -> "Callable[[Request], bytes]":
    """A 200 whose list of results was changed."""
    return lambda request: http(status, json.dumps({"result": change(results(request))}))


def with_status(status: int, *headers: str) -> "Callable[[Request], bytes]":
    """An answer with another status that accepts everything in its body."""
    return lambda request: http(status, ok_body(request), *headers)


def part(share: float, of_body: bool = True) -> "Callable[[Request], bytes]":
    """The first part of a good answer: its head and this share of its body, or this share of its head."""

    def cut(request: "Request") -> bytes:
        whole = ok(request)
        head = whole.index(b"\r\n\r\n") + 4
        return whole[: head + int((len(whole) - head) * share)] if of_body else whole[: int(head * share)]

    return cut


GOOD: Script = (Take("request"), Say(ok))
