"""Long work in small steps, so that nothing else on the event loop has to wait for all of it.

A generator says by each `yield` where it may pause, and returns its result; what it does is not known here.
"""

import asyncio
from collections import deque
from collections.abc import Generator
from typing import TypeVar

__all__ = ["LONGEST_STEP", "Turns", "at_once", "in_steps"]

T = TypeVar("T")

# How long work that goes by the clock may hold the event loop, in seconds: nobody knows how slow a source of items, or
# whoever takes results, may be.
LONGEST_STEP = 0.0005
# About what a request needs between two waits for the network.
_TURNS_FOR_THE_URGENT = 8


class Turns:
    """Turns of the event loop that long work gives to others: one, or several while something urgent goes on.

    Of all long work that gives turns only one step is done in a turn of the loop, first come first served, or their
    steps would add up to a stall. What is urgent needs many turns, and long work then stands back for several.
    """

    def __init__(self) -> None:
        self._urgent = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        # Whether somebody's step is due in the next turn.
        self._taken = False

    def urgent_begins(self) -> None:
        """Let long work stand back until `urgent_ends`."""
        self._urgent += 1

    def urgent_ends(self) -> None:
        """Something urgent that began is over."""
        self._urgent -= 1

    @property
    def urgent(self) -> bool:
        """Whether something urgent goes on."""
        return self._urgent > 0

    async def give(self) -> None:
        """Let others have their turn; returns in a turn that no other long work has."""
        called: asyncio.Future[None] | None = None
        if self._taken:
            called = asyncio.get_running_loop().create_future()
            self._waiting.append(called)
        self._taken = True
        try:
            await (asyncio.sleep(0) if called is None else called)
            for _ in range(_TURNS_FOR_THE_URGENT):
                if not self._urgent:
                    break
                await asyncio.sleep(0)
        finally:
            # Whoever leaves while waiting was not called, calls nobody, and is not called any more.
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
        self._taken = False


async def in_steps(work: Generator[None, None, T], turns: Turns | None = None) -> T:
    """The generator's result; others have their turn between its steps."""
    turns = turns or Turns()
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        await turns.give()


def at_once(work: Generator[None, None, T]) -> T:
    """The generator's result without a pause; for one that was begun by `in_steps` and must not be given up."""
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
