"""Long work in small steps, so that nothing else on the event loop has to wait for all of it.

Each `yield` of a generator marks a place where it may pause. The generator returns the result. Work
that cannot know how long its steps take goes by the clock instead (Pacing). Nothing in this file
knows what the work is.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

__all__ = ["Pacing", "Turns", "at_once", "in_steps"]

T = TypeVar("T")

# How long work that goes by the clock may block the event loop, in seconds. A fixed number of items
# would not work, because with a slow source or consumer even a few items can take long.
_MAX_STEP = 0.0005
# About as many turns as a request needs between two waits for the network.
_TURNS_FOR_THE_URGENT = 8


class Turns:
    """Turns of the event loop that long work gives to others: one, or several while urgent work is in flight.

    All long work of a client shares one Turns. Each turn of the loop runs only one step of all that
    work, first come first served. Otherwise the steps would add up and block the loop. Urgent work
    needs many turns of the loop, so long work waits for several of them.
    """

    def __init__(self) -> None:
        self._urgent = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        # True while a caller of `give` has the next turn.
        self._busy = False

    def urgent_begins(self) -> None:
        """Make long work wait longer, until `urgent_ends` is called."""
        self._urgent += 1

    def urgent_ends(self) -> None:
        """Undo one call of `urgent_begins`."""
        self._urgent -= 1

    @property
    def urgent(self) -> bool:
        """Whether urgent work is in flight."""
        return self._urgent > 0

    async def give(self) -> None:
        """Let others have their turn. Returns in a turn of the loop in which no other long work runs."""
        called: asyncio.Future[None] | None = None
        if self._busy:
            called = asyncio.get_running_loop().create_future()
            self._waiting.append(called)
        self._busy = True
        try:
            await (asyncio.sleep(0) if called is None else called)
            for _ in range(_TURNS_FOR_THE_URGENT):
                if not self._urgent:
                    break
                await asyncio.sleep(0)
        finally:
            # The task that waits here may be cancelled at any await, or its coroutine closed. If it
            # was still in the queue, it cancels its future, so that `_call_next` skips it. If its
            # turn had come, it must call the next one. Otherwise all other long work of the client
            # would wait for ever.
            if called is not None and not called.done():
                called.cancel()
            if called is None or not called.cancelled():
                self._call_next()

    def _call_next(self) -> None:
        while self._waiting:
            called = self._waiting.popleft()
            if not called.done():
                called.set_result(None)
                return
        self._busy = False


class Pacing:
    """Says when one piece of long work has blocked the event loop for long enough: `if due(): await pause()`.

    There are two calls, because an await often costs more than the work on one item. If `ready` is
    given, every pause lasts until it returns. `pause` raises what it raises.
    """

    def __init__(
        self,
        turns: Turns,
        *,
        ready: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._turns = turns
        self._ready = ready
        self._clock = clock
        self._due_at = 0.0

    def due(self) -> bool:
        """Return whether the work must pause before its next item."""
        return self._clock() >= self._due_at

    async def pause(self) -> None:
        """Let others have their turn, and begin a new step."""
        await self._turns.give()
        if self._ready is not None:
            await self._ready()
        # Read the clock again: the step begins after the pause, and others may have taken long.
        self._due_at = self._clock() + _MAX_STEP


async def in_steps(work: Generator[None, None, T], turns: Turns | None = None) -> T:
    """Run the generator and return its result. Others have their turn between its steps."""
    turns = turns or Turns()
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        await turns.give()


def at_once(work: Generator[None, None, T]) -> T:
    """Run the generator to its end without a pause and return its result. It may have been begun by `in_steps`."""
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
