"""Where the tracker keeps its events: the interface, and a store in memory. The store in a file is in sqlite.py.

A store decides nothing. What events mean is in ladder.py.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from ..checks import OneLoop, require_number
from ..protocol.statuses import Status
from .ladder import Delivery, DeliveryChange, StatusEvent
from .rounding import MAX_MEMBERS, Family, family_of, forms_of, known_of, needs_members, noted

__all__ = ["MemoryStore", "Store", "by_message"]

_EVENTS_A_STEP = 100


class Store(Protocol):
    """Keep every event once."""

    async def add(self, events: Sequence[StatusEvent]) -> list[DeliveryChange]:
        """Store the events that are new. They are safe on return. Return one change for each changed message."""
        ...

    async def get(self, message_ids: Iterable[str]) -> dict[str, Delivery]:
        """Return what is known of these messages. The status is None where nothing is known."""
        ...

    async def prune(self, seconds: float) -> int:
        """Forget messages that have had no news for that many seconds. Return how many there were."""
        ...

    async def aclose(self) -> None:
        """Close what the store holds open."""
        ...


class MemoryStore:
    """Keep the events of up to `max_messages` messages in memory.

    Beyond that, the messages that have had no news for the longest time are forgotten.
    """

    def __init__(self, *, max_messages: int = 1_000_000, clock: Callable[[], float] = time.time) -> None:
        require_number("max_messages", max_messages, minimum=1, whole=True)
        self._max_messages = max_messages
        self._clock = clock
        # The time of a message's latest news, then its events, in flat tuples. A million sets of events would need
        # twice the memory, and cause garbage collections that block the event loop.
        self._known: OrderedDict[str, tuple[Any, ...]] = OrderedDict()
        # The ids that share a float64. Nearly always there is only one, stored as a plain str to save memory.
        self._families: dict[float, str | set[str]] = {}
        self._loop = OneLoop("store in memory", may_move=True)

    def __len__(self) -> int:
        return len(self._known)

    async def add(self, events: Sequence[StatusEvent]) -> list[DeliveryChange]:
        """Store the events that are new. Return one change for each changed message."""
        self._loop.check(asyncio.get_running_loop())
        changes = []
        for number, (message_id, news) in enumerate(by_message(events).items(), 1):
            family = dict(self._family(message_id))
            change = noted(message_id, family, news)
            if self._known.pop(message_id, None) is None:
                self._join(message_id)
            self._known[message_id] = _flat(self._clock(), family[message_id])
            if change is not None:
                changes.append(change)
            if number % _EVENTS_A_STEP == 0:
                await asyncio.sleep(0)
        while len(self._known) > self._max_messages:
            self._forget_oldest()
        return changes

    async def get(self, message_ids: Iterable[str]) -> dict[str, Delivery]:
        """Return what is known of these messages. The status is None where nothing is known."""
        self._loop.check(asyncio.get_running_loop())
        found = {}
        for number, each in enumerate(message_ids, 1):
            found[each] = known_of(each, self._family(each))
            if number % _EVENTS_A_STEP == 0:
                await asyncio.sleep(0)
        return found

    async def prune(self, seconds: float) -> int:
        """Forget messages that have had no news for that many seconds. Return how many there were."""
        self._loop.check(asyncio.get_running_loop())
        before = self._clock() - seconds
        pruned = 0
        while self._known and next(iter(self._known.values()))[0] < before:
            self._forget_oldest()
            pruned += 1
            if pruned % 1_000 == 0:
                await asyncio.sleep(0)
        return pruned

    async def aclose(self) -> None:
        """Do nothing: a store in memory holds nothing open."""

    def _family(self, message_id: str) -> Family:
        """Return the events of an id, and of the other ids with the same float64 that it depends on."""
        rounded = family_of(message_id)
        if rounded is None:
            return self._stored({message_id})
        family = self._stored({message_id, *forms_of(rounded)})
        if needs_members(message_id, family):
            members = _ids(self._families.get(rounded, ()))
            family |= self._stored(islice(members, MAX_MEMBERS))
        return family

    def _stored(self, message_ids: Iterable[str]) -> dict[str, Collection[StatusEvent]]:
        return {each: _events(each, self._known[each]) for each in message_ids if each in self._known}

    def _join(self, message_id: str) -> None:
        rounded = family_of(message_id)
        if rounded is None:
            return
        members = self._families.setdefault(rounded, message_id)
        if isinstance(members, set):
            members.add(message_id)
        elif members != message_id:
            self._families[rounded] = {members, message_id}

    def _forget_oldest(self) -> None:
        message_id, _ = self._known.popitem(last=False)
        rounded = family_of(message_id)
        if rounded is not None:
            members = self._families[rounded]
            if isinstance(members, set):
                members.discard(message_id)
            if not members or members == message_id:
                del self._families[rounded]


def _ids(members: str | Collection[str]) -> Collection[str]:
    return (members,) if isinstance(members, str) else members


def _flat(told_at: float, events: Iterable[StatusEvent]) -> tuple[Any, ...]:
    flat: list[Any] = [told_at]
    for event in events:
        # Keep the plain str of a status, because an enum member is one more object for the garbage collector.
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
