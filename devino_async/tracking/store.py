"""Where the tracker keeps its events: the interface, and a store in memory. A file is sqlite.py's.

A store decides nothing; what events mean is the ladder's.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..errors import ConfigurationError
from ..protocol.statuses import Status
from .ladder import Delivery, DeliveryChange, StatusEvent, delivery_of

__all__ = ["MemoryStore", "Store", "noted"]

_EVENTS_A_STEP = 100


class Store(Protocol):
    """Keeps every event once."""

    async def add(self, events: Sequence[StatusEvent]) -> list[DeliveryChange]:
        """Keep those that are new; when it returns they are safe. Gives what changed, one Change a message."""
        ...

    async def get(self, message_ids: Iterable[str]) -> dict[str, Delivery]:
        """What is known of these messages; those of which nothing is known have a status of None."""
        ...

    async def prune(self, seconds: float) -> int:
        """Forget messages of which nothing was told for so long; gives how many."""
        ...

    async def aclose(self) -> None:
        """Let go of what it holds open."""
        ...


def noted(message_id: str, known: set[StatusEvent], news: Iterable[StatusEvent]) -> DeliveryChange | None:
    """Add news to the known events of one message; gives the DeliveryChange if it says something else now."""
    before = delivery_of(message_id, known)
    known.update(news)
    after = delivery_of(message_id, known)
    return None if before == after else DeliveryChange(before, after)


class MemoryStore:
    """Keeps events in memory, of up to `max_messages` messages: beyond it those longest without news are forgotten."""

    def __init__(self, *, max_messages: int = 1_000_000, clock: Callable[[], float] = time.time) -> None:
        if type(max_messages) is not int or max_messages < 1:
            raise ConfigurationError("max_messages must be a whole number of 1 or more")
        self._max_messages = max_messages
        self._clock = clock
        # When a message was told of last, and its events, in flat tuples: a million sets of events would take twice
        # the memory, and garbage collections long enough to be felt.
        self._known: OrderedDict[str, tuple[Any, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    async def add(self, events: Sequence[StatusEvent]) -> list[DeliveryChange]:
        """Keep those that are new; gives what changed, one Change a message."""
        changes = []
        for number, (message_id, news) in enumerate(by_message(events).items(), 1):
            known = _events(message_id, self._known.pop(message_id, ()))
            change = noted(message_id, known, news)
            self._known[message_id] = _flat(self._clock(), known)
            if change is not None:
                changes.append(change)
            if number % _EVENTS_A_STEP == 0:
                await asyncio.sleep(0)
        while len(self._known) > self._max_messages:
            self._known.popitem(last=False)
        return changes

    async def get(self, message_ids: Iterable[str]) -> dict[str, Delivery]:
        """What is known of these messages; those of which nothing is known have a status of None."""
        found = {}
        for number, each in enumerate(message_ids, 1):
            found[each] = delivery_of(each, _events(each, self._known.get(each, ())))
            if number % _EVENTS_A_STEP == 0:
                await asyncio.sleep(0)
        return found

    async def prune(self, seconds: float) -> int:
        """Forget messages of which nothing was told for so many seconds; gives how many."""
        before = self._clock() - seconds
        pruned = 0
        while self._known and next(iter(self._known.values()))[0] < before:
            self._known.popitem(last=False)
            pruned += 1
            if pruned % 1_000 == 0:
                await asyncio.sleep(0)
        return pruned

    async def aclose(self) -> None:
        """Nothing is open."""


def _flat(told_at: float, events: Iterable[StatusEvent]) -> tuple[Any, ...]:
    flat: list[Any] = [told_at]
    for event in events:
        # The bare text of a status, as its enum is one more thing for the garbage collector.
        status = event.status.value if isinstance(event.status, Status) else event.status
        flat += (status, event.at, event.error_code)
    return tuple(flat)


def _events(message_id: str, flat: tuple[Any, ...]) -> set[StatusEvent]:
    fields = iter(flat[1:])
    return {
        StatusEvent(message_id, status, at, error_code)
        for status, at, error_code in zip(fields, fields, fields, strict=True)
    }


def by_message(events: Iterable[StatusEvent]) -> Mapping[str, list[StatusEvent]]:
    """The events of each message."""
    found: dict[str, list[StatusEvent]] = {}
    for event in events:
        found.setdefault(event.message_id, []).append(event)
    return found
