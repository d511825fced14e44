"""Long work in small steps, so that nothing else on the event loop has to wait for all of it.

A generator says by each `yield` where it may pause, and returns its result; what it does is not known here.
"""

import asyncio
from collections.abc import Generator
from typing import TypeVar

__all__ = ["at_once", "in_steps"]

T = TypeVar("T")


async def in_steps(work: Generator[None, None, T]) -> T:
    """The generator's result, with one turn of the event loop between its steps."""
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
        await asyncio.sleep(0)


def at_once(work: Generator[None, None, T]) -> T:
    """The generator's result without a pause; for one that was begun by `in_steps` and must not be given up."""
    while True:
        try:
            next(work)
        except StopIteration as finished:
            return finished.value  # type: ignore[no-any-return]
