"""A deadline that is not fooled by a blocked event loop. What happens after it has passed is in attempt.py.

A program may block its loop, or be suspended with Ctrl-Z, for longer than a time-out while the answer waits in the
socket. Then the timer and the answer are due in the same turn of the loop, and the timer would win.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

__all__ = ["deadline"]

# A timer that fires later than this, in seconds, means that the loop was blocked. A busy loop is late by milliseconds.
_LATE = 0.1
# How many seconds the body of the `async with` then gets to read what has arrived.
_GRACE = 1.0


@asynccontextmanager
async def deadline(seconds: float) -> AsyncGenerator[None, None]:
    """Raise TimeoutError in the body of the `async with` after so many seconds, as asyncio.timeout does.

    If the timer fires too late because the loop was blocked, the body gets one more second first.
    """
    loop = asyncio.get_running_loop()
    when = loop.time() + seconds
    timer = loop.call_at(when, lambda: due())  # noqa: PLW0108 - `due` is made below

    def due() -> None:
        nonlocal timer
        if loop.time() - when > _LATE:
            timer = loop.call_later(_GRACE, over)
        else:
            over()

    def over() -> None:
        scope.reschedule(loop.time())

    try:
        async with asyncio.timeout(None) as scope:
            yield
    finally:
        timer.cancel()
