"""A byte-level server with ground truth: it plays a script on each connection and knows what it really received.

No HTTP library: what a client sent is parsed here with the eyes of a strict server. A request counts as received
when its head and as many bytes as its Content-Length says were read, or lay in the kernel when the server reset.
"""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import struct
from types import TracebackType
from typing import Any, Self

from attrs import define, field
from fault_script import ALL_BUT_ONE, Goal, Script

_TO = re.compile(rb'"to": ?"(\d+)"')
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_PIECE = 65_536


@define
class Request:
    """One request as far as it arrived."""

    head: bytes
    body: bytes
    complete: bool
    refused: bool = False

    @property
    def phones(self) -> list[str]:
        return [found.decode() for found in _TO.findall(self.body)]

    @property
    def is_post(self) -> bool:
        return self.head.startswith(b"POST /sms/messages")


def parsed(raw: bytes) -> list[Request]:
    """The requests in the bytes of one connection, the last one perhaps incomplete."""
    found: list[Request] = []
    at = 0
    while (end := raw.find(b"\r\n\r\n", at)) >= 0:
        head = raw[at : end + 4]
        declared = _LENGTH.search(head)
        size = int(declared.group(1)) if declared else 0
        body = raw[end + 4 : end + 4 + size]
        at = end + 4 + size
        found.append(Request(head, body, complete=len(body) == size))
    return found


class Connection(asyncio.BufferedProtocol):
    """One connection: reads exactly as far as its script asks, so that the kernel pushes back on the client."""

    transport: Any

    def __init__(self, server: "FaultServer") -> None:
        self.raw = bytearray()
        self._server = server
        server.made += 1
        self.number = server.made
        self._room = memoryview(bytearray(_PIECE))
        self._goal: Goal = 0
        self._served = 0
        self._reached = asyncio.Event()
        self._gone = asyncio.Event()
        self._refused: set[int] = set()
        self._head_end = -1
        self._total = 0
        self._start = 0

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if self._server._is_probe(self):
            transport.close()
            return
        self.transport.pause_reading()
        self._server.begun(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._room[: max(1, min(_PIECE, self._allowed()))]

    def buffer_updated(self, count: int) -> None:
        self.raw += self._room[:count]
        if self._allowed() <= 0:
            self.transport.pause_reading()
            self._reached.set()

    def eof_received(self) -> bool:
        self._gone.set()
        self._reached.set()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._gone.set()
        self._reached.set()

    # steps call these

    @property
    def requests(self) -> list[Request]:
        found = parsed(bytes(self.raw))
        for number, request in enumerate(found):
            request.refused = number in self._refused
        return found

    @property
    def request(self) -> Request:
        return self.requests[-1]

    async def read_to(self, goal: Goal) -> None:
        self._goal = goal
        if goal == "request":
            self._start = sum(len(each.head) + len(each.body) for each in self.requests) if self._served else 0
            self._head_end = -1
            self._served += 1
        self._reached.clear()
        if self._allowed() > 0 and not self._gone.is_set():
            self.transport.resume_reading()
            await self._reached.wait()
        if goal == "request" and self._gone.is_set() and self._allowed() > 0:
            raise ConnectionAbortedError

    def say(self, what: bytes, *, refuses: bool = False) -> None:
        if refuses:
            self._refused.add(max(self._served - 1, 0))
        if not self.transport.is_closing():
            self.transport.write(what)

    async def end(self, how: str) -> None:
        if how == "stall":
            await asyncio.Event().wait()
        elif how == "eof" and self.transport.can_write_eof():
            with contextlib.suppress(OSError):
                self.transport.write_eof()
            await self.read_to("end")
        elif how == "rst":
            self.reset()
        self.transport.close()
        await self._gone.wait()

    async def end_when_left(self) -> None:
        """The script is over: read on until the client closes, then close too."""
        await self.read_to("end")
        self.transport.close()

    def reset(self) -> None:
        """Close with RST; what lay unread in the kernel still counts as received."""
        mine = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
        try:
            self.sweep()
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        finally:
            mine.close()
        self.transport.abort()

    def sweep(self) -> None:
        """Take what lies in the kernel: from here on it counts as received. (Under TLS nobody can read it.)"""
        if self.transport.is_closing() or self.transport.get_extra_info("sslcontext") is not None:
            return
        mine = socket.socket(fileno=os.dup(self.transport.get_extra_info("socket").fileno()))
        mine.setblocking(False)
        try:
            while found := mine.recv(_PIECE):
                self.raw += found
        except OSError:
            pass
        finally:
            mine.close()

    def _allowed(self) -> int:
        """How many bytes more may be read now."""
        goal = self._goal
        if goal == "end":
            return _PIECE
        if isinstance(goal, int) and goal != ALL_BUT_ONE:
            return goal - len(self.raw)
        return self._allowed_of_request(goal)

    def _allowed_of_request(self, goal: Goal) -> int:
        if self._head_end < 0:
            found = self.raw.find(b"\r\n\r\n", self._start)
            if found < 0:
                return _PIECE if goal == "request" else 1
            self._head_end = found + 4
            declared = _LENGTH.search(self.raw, self._start, self._head_end)
            self._total = int(declared.group(1)) if declared else 0
        wanted = self._total
        if goal == "head":
            wanted = 0
        elif goal == ALL_BUT_ONE:
            wanted -= 1
        elif isinstance(goal, float):
            wanted = int(wanted * goal)
        return self._head_end + wanted - len(self.raw)


@define
class FaultServer:
    """Listens on a free loopback port. Connection n plays script n; the last script is played again and again.

    `accepted` counts all connections, also those whose TLS handshake failed and that played none.
    """

    scripts: tuple[Script, ...]
    tls: ssl.SSLContext | None = None
    receive_buffer: int | None = 16_384
    connections: list[Connection] = field(factory=list)
    problems: list[BaseException] = field(factory=list)
    port: int = 0
    made: int = 0
    _server: asyncio.Server | None = None
    _tasks: list["asyncio.Task[None]"] = field(factory=list)
    _probes: dict[object, "asyncio.Future[int]"] = field(factory=dict)
    _probed: list[int] = field(factory=list)

    async def __aenter__(self) -> Self:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.receive_buffer is not None:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        listening.bind(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self), sock=listening, ssl=self.tls, backlog=100
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            connection.transport.abort()
        for connection in self.connections:
            await connection._gone.wait()
        await self._server.wait_closed()
        if error is None and self.problems:
            raise self.problems[0]

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://127.0.0.1:{self.port}"

    def begun(self, connection: Connection) -> None:
        number = min(len(self.connections), len(self.scripts) - 1)
        self.connections.append(connection)
        self._tasks.append(asyncio.create_task(self._play(connection, self.scripts[number]), name="fault-script"))

    def begun_so_far(self) -> "asyncio.Future[int]":
        """How many connections were begun until now, those included that still lie in the kernel's queue.

        The kernel gives them out in their order, so one that is made here, and counts for nothing, comes last of them.
        Not with TLS.
        """
        probe = socket.create_connection(("127.0.0.1", self.port), timeout=10.0)
        found = self._probes[probe.getsockname()] = asyncio.get_running_loop().create_future()
        found.add_done_callback(lambda _: probe.close())
        return found

    def _is_probe(self, connection: Connection) -> bool:
        found = self._probes.pop(connection.transport.get_extra_info("peername"), None)
        if found is None:
            return False
        # By its number, as those that came after it may have been accepted in the same sweep.
        found.set_result(connection.number - 1 - sum(earlier < connection.number for earlier in self._probed))
        self._probed.append(connection.number)
        return True

    @property
    def accepted(self) -> int:
        return self.made - len(self._probed)

    async def _play(self, connection: Connection, script: Script) -> None:
        try:
            for step in script:
                await step(connection)
            await connection.end_when_left()
        except ConnectionAbortedError:
            connection.transport.close()
        except Exception as error:  # noqa: BLE001 - a broken script must fail its test
            self.problems.append(error)

    # The ground truth

    @property
    def requests(self) -> list[Request]:
        return [request for connection in self.connections for request in connection.requests]

    @property
    def posts(self) -> list[Request]:
        """Every POST of messages whose head arrived."""
        return [request for request in self.requests if request.is_post]
