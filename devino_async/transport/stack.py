"""The stack: retry around limits around the pool, each with the shape of Transport.

Only the order stands here. What each of them does is in its own file.
"""

import asyncio
import random
import time

from ..events import Events
from .limits import Limited, Limits
from .pool import SessionPool
from .retry import Retrying, RetryPolicy

__all__ = ["stacked"]


def stacked(pool: SessionPool, limits: Limits, retry: RetryPolicy, events: Events) -> Retrying:
    """Return what a client exchanges its calls through."""
    limited = Limited(pool, limits, clock=time.monotonic, sleep=asyncio.sleep, events=events)
    return Retrying(limited, retry, clock=time.monotonic, sleep=asyncio.sleep, random=random.random, events=events)
