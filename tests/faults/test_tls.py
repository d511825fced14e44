"""A TLS conversation that is cut anywhere, in the handshake and after it, by a relay that knows no TLS."""

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Literal, Self

import pytest
from attrs import define, field
from certs import Certificates
from fault_check import BOUND, KEY, PATIENT, TWICE, messages, sent, settled, unsound
from fault_script import GOOD
from fault_server import FaultServer
from reachable import untroubled

from devino_async import (
    Accepted,
    AttemptStarted,
    CallFailed,
    DevinoClient,
    PoolOptions,
    Receipt,
    RequestNotSent,
    Timeouts,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

How = Literal["fin", "rst", "stall"]
Side = Literal["client", "server"]
FLIGHTS = {"old_server": 2, "new_server": 1}
"""In how many pieces the server speaks within the handshake: before TLS 1.3 it has the last word there."""
BATCH = messages(40)
ALL = 10**9


@define
class Relay:
    """Passes bytes to and fro. On its first connection it ends after `most` bytes from one side; later ones are whole.

    `spoken` holds the sizes of the pieces that came from each side of the first connection.
    """

    port: int
    cut: Side = "server"
    most: int = ALL
    how: How = "fin"
    accepted: int = 0
    spoken: dict[Side, list[int]] = field(factory=lambda: {"client": [], "server": []})
    _server: asyncio.Server | None = None
    _tasks: "set[asyncio.Task[None]]" = field(factory=set)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        first = self.accepted == 1
        service, to_service = await asyncio.open_connection("127.0.0.1", self.port)
        ways = [
            asyncio.create_task(self._pass("client", reader, to_service, first)),
            asyncio.create_task(self._pass("server", service, writer, first)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if first and self.how == "stall":
                await asyncio.Event().wait()
            if first and self.how == "rst":
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            writer.close()
            to_service.close()

    async def _pass(self, side: Side, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bool) -> None:
        left = self.most if first and side == self.cut else ALL
        with contextlib.suppress(OSError):
            while left and (piece := await reader.read(min(left, 65_536))):
                left -= len(piece)
                if first:
                    self.spoken[side].append(len(piece))
                writer.write(piece)
                await writer.drain()


@define
class Run:
    """What became of a conversation."""

    receipts: list[Receipt]
    attempts: int
    spoken: dict[Side, list[int]]
    posts_of_the_first: int
    wrong: list[str]


async def conversed(
    certificates: Certificates,
    tls: str,
    cut: Side = "server",
    most: int = ALL,
    how: How = "fin",
    timeouts: Timeouts = PATIENT,
) -> Run:
    """Send a batch through a relay that cuts its first connection."""
    events: list[object] = []
    async with (
        asyncio.timeout(BOUND),
        FaultServer((GOOD,), tls=getattr(certificates, tls)) as server,
        Relay(server.port, cut, most, how) as relay,
    ):
        async with untroubled(DevinoClient(
            KEY, base_url=relay.url, timeouts=timeouts, retry=TWICE, on_event=events.append,
            pool=PoolOptions(ssl_context=certificates.trusting),
        )) as client:  # fmt: skip
            receipts = await sent(client, BATCH)
        await settled(server)
        attempts = sum(isinstance(event, AttemptStarted) for event in events)
        assert relay.accepted == attempts
        # The first one that the server knows of may be the second one if that had no handshake.
        lost = server.accepted - len(server.connections)
        posts = 0 if lost else sum(each.is_post for each in server.connections[0].requests)
        return Run(receipts, attempts, relay.spoken, posts, unsound(receipts, server.posts, BATCH))


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("tls", FLIGHTS)
async def test_a_handshake_that_is_cut_anywhere(tls: str, how: How, certificates: Certificates) -> None:
    """A handshake that ends before the server's last word proves the send unsent: it is tried again and accepted."""
    whole = await conversed(certificates, tls)
    assert whole.attempts == 1
    size = sum(whole.spoken["server"][: FLIGHTS[tls]])
    for share in (0.0, 0.01, 0.2, 0.4, 0.6, 0.8, 0.95):
        run = await conversed(certificates, tls, "server", int(size * share), how)
        assert run.wrong == []
        assert {type(receipt) for receipt in run.receipts} == {Accepted}, share
        assert run.attempts == 2
        assert run.posts_of_the_first == 0


@pytest.mark.parametrize("tls", FLIGHTS)
async def test_a_handshake_that_stands_still(tls: str, certificates: Certificates) -> None:
    """A handshake that stands still half way ends by the connect time-out, and the send is tried again."""
    whole = await conversed(certificates, tls)
    half = sum(whole.spoken["server"][: FLIGHTS[tls]]) // 2
    run = await conversed(certificates, tls, "server", half, "stall", Timeouts(connect=0.8, read=20.0))
    assert run.wrong == []
    assert {type(receipt) for receipt in run.receipts} == {Accepted}
    assert run.attempts == 2


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("cut", ["client", "server"])
@pytest.mark.parametrize("tls", FLIGHTS)
async def test_a_conversation_that_is_cut_anywhere(tls: str, cut: Side, how: How, certificates: Certificates) -> None:
    """Wherever one side's part of a conversation ends, no verdict is unsound and nothing is delivered twice."""
    size = sum((await conversed(certificates, tls)).spoken[cut])
    for part in range(13):
        run = await conversed(certificates, tls, cut, size * part // 12, how)
        assert run.wrong == [], part


@pytest.mark.parametrize("server", ["expired", "wrong_host", "unknown_authority", "self_signed"])
async def test_look_ups_trust_no_more(server: str, certificates: Certificates) -> None:
    """A look-up, too, asks nobody whose certificate is not in order, and does not try again."""
    events: list[object] = []
    async with FaultServer((GOOD,), tls=getattr(certificates, server)) as service:
        pool = PoolOptions(ssl_context=certificates.trusting)
        async with untroubled(
            DevinoClient(KEY, base_url=service.url, timeouts=PATIENT, retry=TWICE, pool=pool, on_event=events.append)
        ) as client:
            with pytest.raises(CallFailed) as caught:
                await client.account()
    assert type(caught.value) is RequestNotSent
    assert service.accepted == 1
    assert service.requests == []
