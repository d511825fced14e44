"""Buffer: single items gather here until they leave together, bounded by count and by bytes.

What gathers knows no network: who takes the items, and when there is a place for them, is the taker's; when they may
leave, and who has to wait for room, is decided here.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from itertools import count, islice
from typing import Any, Generic, TypeVar

from attrs import define

__all__ = ["Buffer", "Entry", "Full"]

T = TypeVar("T")
R = TypeVar("R")


class Full(Exception):
    """There is no room, and nobody wants to wait for it."""


@define(eq=False, repr=False)
class Entry(Generic[T, R]):
    """One item that waits, its size in a batch, and where its outcome will be. Items of one group leave together."""

    item: T
    encoded: bytes
    size: int
    group: Any
    outcome: "asyncio.Future[R]"
    number: int = 0
    arrived: float = 0.0

    def __repr__(self) -> str:
        return f"Entry(<{self.size} bytes>)"


class _Group(Generic[T, R]):
    """The waiting entries of one group, in their order."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.entries: OrderedDict[int, Entry[T, R]] = OrderedDict()
        self.size = 0

    def first(self) -> Entry[T, R]:
        return next(iter(self.entries.values()))


class Buffer(Generic[T, R]):
    """Entries in the order of their arrival. An entry may leave after `linger` seconds, or when a batch is full.

    It holds up to `most` items and `most_bytes` bytes; an item that is larger than that comes in alone. Whoever finds
    it full waits, first come first served. Batches are of up to `batch_count` items and `batch_bytes` bytes.
    """

    def __init__(self, *, most: int, most_bytes: int, batch_count: int, batch_bytes: int, linger: float = 0.0) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._batch_count = batch_count
        self._batch_bytes = batch_bytes
        self._linger = linger
        self._groups: dict[Hashable, _Group[T, R]] = {}
        self._numbers = count(1)
        self._last = 0
        self._flushed = 0
        # What is in the buffer, and what was let in and is just coming.
        self._count = 0
        self._size = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        # Those who were let in and have not come yet; nobody may pass them.
        self._coming = 0

    def __len__(self) -> int:
        return sum(len(group.entries) for group in self._groups.values())

    def __iter__(self) -> Iterator[Entry[T, R]]:
        for group in self._groups.values():
            yield from group.entries.values()

    def __repr__(self) -> str:
        return f"Buffer(<{len(self)} items>)"

    def enter(self, size: int) -> bool:
        """Make room at once for an item of this size, if there is any and nobody waits for it."""
        if self._waiting or self._coming or not self._fits(size):
            return False
        self._count += 1
        self._size += size
        return True

    async def make_room(self, size: int, *, wait: bool = True) -> None:
        """Return when there is room for an item of this size; it is kept for the `add` or `leave_room` that follows.

        Raises Full if there is none and `wait` is false; those who fill the room then linger no longer.
        """
        if self.enter(size):
            return
        if not wait:
            # Nobody will wait here, so nothing else would end the linger of those who fill the room.
            self.flush()
            raise Full
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, let_in))
        try:
            await let_in
        except asyncio.CancelledError:
            if let_in.done() and not let_in.cancelled() and let_in.exception() is None:
                self._coming -= 1
                self.leave_room(size)
            else:
                self._let_in()
            raise
        self._coming -= 1
        self._let_in()

    def leave_room(self, size: int) -> None:
        """Give up room that was made."""
        self._count -= 1
        self._size -= size
        self._let_in()

    def turn_away(self) -> None:
        """Let nobody wait for room any more: each who does gets Full."""
        while self._waiting:
            _, let_in = self._waiting.popleft()
            if not let_in.done():
                let_in.set_exception(Full())

    def add(self, entry: Entry[T, R], now: float) -> None:
        """Add an entry that room was made for."""
        entry.number = self._last = next(self._numbers)
        entry.arrived = now
        group = self._groups.get(entry.group)
        if group is None:
            group = self._groups[entry.group] = _Group(entry.group)
        group.entries[entry.number] = entry
        group.size += entry.size

    def discard(self, entry: Entry[T, R]) -> bool:
        """Take one entry out; False if it has left already."""
        group = self._groups.get(entry.group)
        if group is None or group.entries.pop(entry.number, None) is None:
            return False
        self._left(group, 1, entry.size)
        return True

    def flush(self) -> None:
        """Let everything that waits now, for room too, leave as soon as it is taken, whatever the linger."""
        # Entries are numbered as they come in, and nobody passes those who wait for room.
        self._flushed = self._last + len(self._waiting) + self._coming

    def due(self) -> float | None:
        """When a batch may be taken: 0 for at once, None while nothing waits."""
        return min((self._due(group) for group in self._groups.values()), default=None)

    def take(self, now: float) -> list[Entry[T, R]]:
        """The oldest batch that may leave now; empty if there is none."""
        ready = [group for group in self._groups.values() if self._due(group) <= now]
        if not ready:
            return []
        group = min(ready, key=lambda each: each.first().number)
        if len(group.entries) <= self._batch_count and group.size <= self._batch_bytes:
            taken, size = list(group.entries.values()), group.size
            group.entries.clear()
        else:
            taken, size = self._first_of(group)
        self._left(group, len(taken), size)
        return taken

    def _first_of(self, group: _Group[T, R]) -> tuple[list[Entry[T, R]], int]:
        """As many of the group as a batch holds, and their size."""
        taken: list[Entry[T, R]] = []
        size = 0
        for entry in islice(group.entries.values(), self._batch_count):
            if taken and size + entry.size > self._batch_bytes:
                break
            taken.append(entry)
            size += entry.size
        for entry in taken:
            del group.entries[entry.number]
        return taken, size

    def take_all(self) -> list[Entry[T, R]]:
        """Everything that waits, in the order of arrival; for whoever gives up."""
        everything = list(self)
        for entry in everything:
            self.discard(entry)
        return sorted(everything, key=lambda entry: entry.number)

    def _due(self, group: _Group[T, R]) -> float:
        first = group.first()
        # Where others wait for room, lingering would hold up those who have lingered long enough.
        full = self._waiting or len(group.entries) >= self._batch_count or group.size >= self._batch_bytes
        return 0.0 if full or first.number <= self._flushed or not self._linger else first.arrived + self._linger

    def _left(self, group: _Group[T, R], count: int, size: int) -> None:
        group.size -= size
        if not group.entries:
            del self._groups[group.key]
        self._count -= count
        self._size -= size
        self._let_in()

    def _fits(self, size: int) -> bool:
        return self._count == 0 or (self._count < self._most and self._size + size <= self._most_bytes)

    def _let_in(self) -> None:
        while self._waiting:
            size, let_in = self._waiting[0]
            if let_in.done():
                self._waiting.popleft()
            elif self._fits(size):
                self._waiting.popleft()
                self._count += 1
                self._size += size
                self._coming += 1
                let_in.set_result(None)
            else:
                return
