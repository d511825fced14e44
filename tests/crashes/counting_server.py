"""A service in a process of its own that counts every message by its identity, and fails at random by a seed.

The process outlives the clients that are killed, so its counts are the ground truth. It is the fault server of
tests/faults, where every connection plays one step, that of counting.py.

    with counting_server() as server: ... server.truth()
"""

import asyncio
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from typing import Any

from chance import chance
from counting import Counting, Truth
from fault_server import Connection, FaultServer
from processes import Hung, forking

_PATIENCE = 60.0


class _Desk:
    """Carries out what the lab asks for."""

    def __init__(self, server: FaultServer, counting: Counting, orders: Pipe) -> None:
        self._server, self._counting, self._orders = server, counting, orders
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(self) -> None:
        """Read one order."""
        try:
            order, given = self._orders.recv()
        except EOFError:
            # The lab was killed.
            os._exit(1)
        task = asyncio.create_task(self._obey(order, given))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _obey(self, order: str, given: tuple[Any, ...]) -> None:
        try:
            self._orders.send(await getattr(self, order)(*given))
        except Exception as error:  # noqa: BLE001 - the lab is to hear of it
            self._orders.send(error)

    async def truth(self) -> Truth:
        await self._settle()
        return self._counting.truth()

    async def losses(self) -> tuple[int, int]:
        await self._settle()
        return self._counting.lossy.total(), self._counting.incomplete

    async def count(self, name: str) -> int:
        found: int = getattr(self._counting, name)
        return found

    async def alert(self, after: int, phase: str | None) -> None:
        self._counting.alert = None if phase is None else (self._counting.posts + after, phase)

    async def fail(self, faults: Mapping[str, float], seed: int, latency: float, probes_fail: bool) -> None:
        counting = self._counting
        counting.faults, counting.random = faults, chance(seed)
        counting.latency, counting.probes_fail = latency, probes_fail

    async def hold(self, held: bool) -> None:
        if held:
            self._counting.held.clear()
        else:
            self._counting.held.set()

    async def listen(self, listening: bool) -> None:
        server = self._server
        if not listening:
            assert server._server is not None
            server._server.close()
            return
        loop = asyncio.get_running_loop()
        server._server = await loop.create_server(lambda: Connection(server), "127.0.0.1", server.port)

    async def _settle(self) -> None:
        """Wait until every connection that a client ever began has been played to its end."""
        await self._server.begun_so_far()
        tasks = self._server._tasks
        while tasks:
            await asyncio.wait(tasks)
            tasks[:] = [each for each in tasks if not each.done()]
        self._server.connections.clear()


async def _serve(orders: Pipe, events: Pipe) -> None:
    counting = Counting(events)
    counting.held.set()
    async with FaultServer(((counting,),), receive_buffer=None) as server:
        desk = _Desk(server, counting, orders)
        asyncio.get_running_loop().add_reader(orders.fileno(), desk.heard)
        orders.send(server.url)
        await asyncio.Event().wait()


def serve(orders: Pipe, events: Pipe) -> None:
    """The server's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve(orders, events))


class CountingServer:
    """The server as the lab sees it: its address, its faults, and its counts."""

    def __init__(self, orders: Pipe, events: Pipe) -> None:
        self._orders, self.events = orders, events
        self.url: str = self._heard()

    def truth(self) -> Truth:
        """Return what it knows, once every connection has ended. No client may be alive."""
        truth: Truth = self._ask("truth")
        return truth

    def losses(self) -> tuple[int, int]:
        """Return how many messages met a lossy fault so far, and how many requests were reset before their end."""
        losses: tuple[int, int] = self._ask("losses")
        return losses

    def posts(self) -> int:
        """Return how many requests to send have begun."""
        posts: int = self._ask("count", "posts")
        return posts

    def probes(self) -> int:
        """Return how many look-ups were answered."""
        probes: int = self._ask("count", "probes")
        return probes

    def fail(
        self, faults: Mapping[str, float], *, seed: int = 0, latency: float = 0.0, probes_fail: bool = False
    ) -> None:
        """From now on fail like this, and answer within `latency` seconds."""
        self._ask("fail", dict(faults), seed, latency, probes_fail)

    def hold(self, held: bool) -> None:
        """Answer nothing more, or answer again. What arrives meanwhile is accepted."""
        self._ask("hold", held)

    def listen(self, listening: bool) -> None:
        """Refuse every connection, or take them again."""
        self._ask("listen", listening)

    def alert(self, after: int, phase: str | None) -> None:
        """Write to `events` when the request to send that is `after` from now is begun, received or answered."""
        self._ask("alert", after, phase)
        while self.events.poll():
            self.events.recv()

    def _ask(self, order: str, *given: Any) -> Any:
        self._orders.send((order, given))
        return self._heard()

    def _heard(self) -> Any:
        if not self._orders.poll(_PATIENCE):
            raise Hung("the counting server does not answer")
        heard = self._orders.recv()
        if isinstance(heard, Exception):
            raise heard
        return heard


@contextmanager
def counting_server() -> Iterator[CountingServer]:
    """A server in a process of its own, which ends with the block."""
    orders, their_orders = forking().Pipe()
    events, their_events = forking().Pipe()
    process = forking().Process(target=serve, args=(their_orders, their_events), daemon=True)
    process.start()
    their_orders.close()
    their_events.close()
    try:
        yield CountingServer(orders, events)
    finally:
        process.terminate()
        process.join()
        process.close()
        orders.close()
        events.close()
