"""Where the tracker keeps its events: the interface, and a store in memory. The store in a file is in sqlite.py.

A store decides nothing. What events mean is in ladder.py.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from ..checks import require_number
from ..protocol.statuses import Status
from .ladder import Delivery, DeliveryChange, StatusEvent, delivery_of

__all__ = ["MemoryStore", "Store", "noted"]

_EVENTS_A_STEP = 100


class Store(Protocol):
    """Keep every event once."""

    async def add(self, events: Sequence[StatusEvent]) -> list[DeliveryChange]:
        """Keep the new ones of these events. They are safe on return. Return one change for each changed message."""
        ...

    async def get(self, message_ids: Iterable[str]) -> dict[str, Delivery]:
        """Return what is known of these messages. The status is None where nothing is known."""
        ...

    async def prune(self, seconds: float) -> int:
        """Forget messages without news for that many seconds and return their number."""
        ...

    async def aclose(self) -> None:
        """Close what the store holds open."""
        ...


def noted(message_id: str, known: set[StatusEvent], news: Iterable[StatusEvent]) -> DeliveryChange | None:
    """Add news to the known events of one message, and return the change if its delivery is another one now."""
    before = delivery_of(message_id, known)
    known.update(news)
    after = delivery_of(message_id, known)
    return None if before == after else DeliveryChange(before, after)


class MemoryStore:
    """Keep events in memory, of up to `max_messages` messages. Beyond it, those longest without news are forgotten."""

    def __init__(self, *, max_messages: int = 1_000_000, clock: Callable[[], float] = time.time) -> None:
        require_number("max_messages", max_messages, minimum=1, whole=True)
        self._max_messages = max_messages
        self._clock = clock
        # The time of a message's latest news, then its events, in flat tuples. A million sets of events would need
        # twice the memory, and make garbage collections that block the event loop.
        self._known: OrderedDict[str, tuple[Any, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    async def add(self, events: Sequence[StatusEvent]) -> list[DeliveryChange]:
        """Keep the new ones of these events. Return one change for each changed message."""
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
        """Return what is known of these messages. The status is None where nothing is known."""
        found = {}
        for number, each in enumerate(message_ids, 1):
            found[each] = delivery_of(each, _events(each, self._known.get(each, ())))
            if number % _EVENTS_A_STEP == 0:
                await asyncio.sleep(0)
        return found

    async def prune(self, seconds: float) -> int:
        """Forget messages without news for that many seconds and return their number."""
        before = self._clock() - seconds
        pruned = 0
        while self._known and next(iter(self._known.values()))[0] < before:
            self._known.popitem(last=False)
            pruned += 1
            if pruned % 1_000 == 0:
                await asyncio.sleep(0)
        return pruned

    async def aclose(self) -> None:
        """Do nothing: a store in memory holds nothing open."""


def _flat(told_at: float, events: Iterable[StatusEvent]) -> tuple[Any, ...]:
    flat: list[Any] = [told_at]
    for event in events:
        # The plain str of a status, as an enum member is one more object for the garbage collector.
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
    """Return the events of each message."""
    found: dict[str, list[StatusEvent]] = {}
    for event in events:
        found.setdefault(event.message_id, []).append(event)
    return found
