"""GET /_sandbox/events: the inbox's server-sent events.

An event says that something changed, and holds the counts. It never holds a message: the inbox asks for what it shows.
So a campaign of 100,000 messages costs a few events a second, and a slow browser gets the newest event only.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web

from .arrivals import Arrivals

__all__ = ["Live"]

# Seconds between two events. Changes that come meanwhile share one event.
_PAUSE = 0.2
# A comment goes out after this many silent seconds. It finds out which browsers have gone.
_HEARTBEAT = 15.0


class Live:
    """Sends events to every open page. One task makes the events, and each page's request writes them."""

    def __init__(self, arrivals: Arrivals, snapshot: Callable[[], dict[str, Any]]) -> None:
        self._arrivals = arrivals
        self._snapshot = snapshot
        self._turn = asyncio.Event()
        self._version = 0
        self._closed = False
        self.pages = 0

    async def run(self) -> None:
        """Make an event at each change until cancelled."""
        while True:
            # Taken before the event goes out, so a change during the pause is told after it.
            arrived = self._arrivals.next
            self._next_turn()
            await asyncio.sleep(_PAUSE)
            await arrived.wait()

    def close(self) -> None:
        """End all streams, so that the server need not wait for them."""
        self._closed = True
        self._next_turn()

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer with a stream of events. The first event comes at once."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        self.pages += 1
        try:
            while not self._closed:
                turn = self._turn
                await response.write(self._event())
                await self._wait(turn, response)
        except ConnectionError:
            pass  # The browser has gone.
        finally:
            self.pages -= 1
        return response

    async def _wait(self, turn: asyncio.Event, response: web.StreamResponse) -> None:
        while True:
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await turn.wait()
                return
            except TimeoutError:
                await response.write(b": still here\n\n")

    def _next_turn(self) -> None:
        self._version += 1
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    def _event(self) -> bytes:
        data = json.dumps({"version": self._version, **self._snapshot()})
        return f"data: {data}\n\n".encode()
