"""Long work in small steps, so that nothing else on the event loop has to wait for all of it.

A generator marks by each `yield` where it may pause, and returns its result. Work that cannot know
how long its steps are goes by the clock instead (Pacing). What the work is, is not known here.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

__all__ = ["Pacing", "Turns", "at_once", "in_steps"]

T = TypeVar("T")

# How long work that goes by the clock may block the event loop, in seconds. Items may come from a
# slow source and receipts go to a slow consumer, so no fixed number of them is a short step.
_MAX_STEP = 0.0005
# About as many turns as a request needs between two waits for the network.
_TURNS_FOR_THE_URGENT = 8


class Turns:
    """Turns of the event loop that long work gives to others: one, or several while something urgent goes on.

    All long work of a client shares one Turns, and one step of all that work is done in a turn of
    the loop, first come first served. Otherwise the steps would add up to a stall. Urgent work
    needs many turns of the loop, so long work waits for several while it goes on.
    """

    def __init__(self) -> None:
        self._urgent = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        # True while a caller of `give` is to do its step in the next turn.
        self._busy = False

    def urgent_begins(self) -> None:
        """Let long work wait longer until `urgent_ends`."""
        self._urgent += 1

    def urgent_ends(self) -> None:
        """Say that something urgent is over."""
        self._urgent -= 1

    @property
    def urgent(self) -> bool:
        """Whether something urgent goes on."""
        return self._urgent > 0

    async def give(self) -> None:
        """Let others have their turn. Returns in a turn of the loop that no other long work has."""
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
            # The task that waits here may be cancelled at any await, or its coroutine closed.
            # Before it was called, it has no turn to pass on and must not be called any more. Once
            # it was called, the next in line depends on it: without `_call_next` all other long
            # work of the client would wait for ever.
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

    These are two calls, as an await costs more than the work on one item often does.
    """

    def __init__(self, turns: Turns, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self._turns = turns
        self._clock = clock
        self._due_at = 0.0

    def due(self) -> bool:
        """Return whether the work has to pause before its next item."""
        return self._clock() >= self._due_at

    async def pause(self) -> None:
        """Let others have their turn, and begin a new step."""
        await self._turns.give()
        # The clock is read again: the step begins after the pause, however long others took.
        self._due_at = self._clock() + _MAX_STEP


async def in_steps(work: Generator[None, None, T], turns: Turns | None = None) -> T:
    """Return the generator's result. Others have their turn between its steps."""
    turns = turns or Turns()
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        await turns.give()


def at_once(work: Generator[None, None, T]) -> T:
    """Return the generator's result without a pause, also where `in_steps` was cancelled in the middle."""
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
