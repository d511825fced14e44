"""A clock that tests move."""

import asyncio
from datetime import UTC, datetime

from devino_async.sandbox import ManualClock


async def test_sleepers_wake_when_their_time_has_come() -> None:
    """A sleep on the clock ends once it was moved far enough, in one step or several, and not before."""
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    began = clock.now()
    sleeper = asyncio.create_task(clock.sleep(10))
    for _ in range(2):
        await asyncio.sleep(0)
        clock.advance(4)
        await asyncio.sleep(0)
        assert not sleeper.done()
    clock.advance(2)
    await sleeper
    assert clock.now() == began + 10
