"""What waits for news in a tracker: the readers of its changes, and the polls with the rounds of their look-ups.

Recording news and asking for it are in tracker.py.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Iterable

from ..errors import CallFailed, ChangesMissed
from .ladder import DeliveryChange

__all__ = ["Poll", "Reader", "Round"]

_log = logging.getLogger("devino_async")


class Round:
    """The look-ups of one round, and the errors of those that failed."""

    def __init__(self) -> None:
        self.look_ups = 0
        self.errors: list[CallFailed] = []


class Poll:
    """The messages that one poll still waits for."""

    def __init__(self) -> None:
        self._left: dict[str, None] = {}
        self._over = asyncio.Event()
        self.failed_rounds = 0  # how many rounds in a row had no look-up answered
        self.was_answered = False
        self.error: CallFailed | None = None  # the last one of the last round

    def round_ended(self, asked: Round) -> None:
        """Count a round, and log what failed in it."""
        self.error = asked.errors[-1] if asked.errors else None
        any_answered = len(asked.errors) < asked.look_ups
        self.was_answered = self.was_answered or any_answered
        self.failed_rounds = self.failed_rounds + 1 if asked.errors and not any_answered else 0
        if self.error is not None:
            _log.warning(
                "%d of %d status look-ups failed, the last one: %s", len(asked.errors), asked.look_ups, self.error
            )

    def add(self, message_ids: Iterable[str]) -> None:
        self._left.update(dict.fromkeys(message_ids))

    def settled(self, message_id: str) -> None:
        self._left.pop(message_id, None)
        if not self._left:
            self._over.set()

    def left(self, some: Iterable[str] | None = None) -> list[str]:
        return list(self._left) if some is None else [each for each in some if each in self._left]

    def is_over(self) -> bool:
        return not self._left

    async def rest(self, sleep: Awaitable[None]) -> None:
        """Sleep, but wake up as soon as no message is left."""
        tasks = {asyncio.ensure_future(sleep), asyncio.create_task(self._wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self) -> None:
        await self._over.wait()


class Reader:
    """The changes that wait for one reader."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: deque[DeliveryChange] = deque()
        self._missed = 0
        self._woken = asyncio.Event()

    def add(self, change: DeliveryChange) -> None:
        if len(self._waiting) < self._max_waiting:
            self._waiting.append(change)
        else:
            self._missed += 1
        self._woken.set()

    async def next(self) -> DeliveryChange:
        while not self._waiting:
            if self._missed:
                raise ChangesMissed(f"{self._missed:,} changes were missed, as they were not read in time")
            self._woken.clear()
            await self._woken.wait()
        return self._waiting.popleft()
