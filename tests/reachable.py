"""A client whose breaker learns at once that the service is back, for tests of what single attempts prove.

A server that plays scripts would spend one of them on a probe. The breaker has tests of its own.
"""

import asyncio
from typing import Any

from devino_async.exchange import Answer, Call

__all__ = ["Reachable", "at_once", "reachable", "untroubled"]


class Reachable:
    """Answers every probe."""

    async def exchange(self, call: Call) -> Answer:
        return Answer(status=200, body=b"{}")


async def at_once(seconds: float) -> None:
    await asyncio.sleep(0)


def reachable(client: Any) -> Any:
    """Return the client, its probes answered at once and by something else than its service."""
    client._breaker._pool, client._breaker._sleep = Reachable(), at_once
    return client


def untroubled(client: Any) -> Any:
    """Return the client with a breaker that hears of no trouble, for tests that count attempts."""
    client._breaker.opened_by = lambda *_, **__: None
    return client
