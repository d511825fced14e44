"""The stack: retry around limits around the pool, each with the shape of Transport.

Only their order is decided here. What each of them does is in its own file.
"""

import asyncio
import random
from collections.abc import Callable

from ..events import Events
from ..exchange import Call, Transport
from .breaker import Breaker
from .limits import Limited, Limits
from .retry import Retrying, RetryPolicy

__all__ = ["stacked"]


def stacked(
    pool: Transport, probe: Call, *, limits: Limits, retry: RetryPolicy, events: Events, clock: Callable[[], float]
) -> tuple[Retrying, Breaker]:
    """Return the transport for the calls of a client, and the breaker that issues the tickets for its sends."""
    breaker = Breaker(pool, probe, clock=clock, sleep=asyncio.sleep, events=events)
    limited = Limited(pool, limits, clock=clock, sleep=asyncio.sleep, events=events)
    retrying = Retrying(limited, retry, clock=clock, sleep=asyncio.sleep, random=random.random, events=events)
    return retrying, breaker
