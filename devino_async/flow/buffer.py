"""Buffer: single items gather here until they leave together, bounded by count and by bytes.

It decides which entries are admitted, which wait for room, and which may leave. It never awaits and does not use the
event loop, so no other code sees a decision half done. The caller decides when to take a batch and what to do with it.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

from attrs import define

__all__ = ["Buffer", "Entry"]

T = TypeVar("T")
R = TypeVar("R")


@define(eq=False, repr=False)
class Entry(Generic[T, R]):
    """One waiting item, and its size in a batch. Items of one group leave together.

    The buffer only carries `outcome` and never looks at it.
    """

    item: T
    encoded: bytes
    size: int
    group: Any
    outcome: R
    tag: Any = None
    number: int = 0
    arrived: float = 0.0

    def __repr__(self) -> str:
        return f"Entry(<{self.size} bytes>)"


class _Group(Generic[T, R]):
    """The admitted entries of one group, in order of arrival."""

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.entries: dict[int, Entry[T, R]] = {}
        self.size = 0

    def first(self) -> Entry[T, R]:
        return next(iter(self.entries.values()))


class Buffer(Generic[T, R]):
    """Entries in the order of their arrival. An entry may leave after `linger` seconds, or when a batch is full.

    The buffer admits up to `max_count` items and `max_bytes` bytes. An item larger than that is admitted when it is
    alone. All other entries wait at the door, also in order of arrival, and none overtakes another. A batch holds up
    to `max_batch_count` items and `max_batch_bytes` bytes.
    """

    def __init__(
        self, *, max_count: int, max_bytes: int, max_batch_count: int, max_batch_bytes: int, linger: float = 0.0
    ) -> None:
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._max_batch_count = max_batch_count
        self._max_batch_bytes = max_batch_bytes
        self._linger = linger
        self._groups: dict[Hashable, _Group[T, R]] = {}
        # Entries leave the door one by one from the front. A plain dict would search for its first entry each time.
        # Entries leave a group a whole batch at a time, so a plain dict is faster there.
        self._door: OrderedDict[int, Entry[T, R]] = OrderedDict()
        self._last = 0
        self._flushed = 0
        # The totals of the admitted entries. Entries at the door are not counted.
        self._count = 0
        self._size = 0

    def __len__(self) -> int:
        return self._count + len(self._door)

    def __iter__(self) -> Iterator[Entry[T, R]]:
        for group in self._groups.values():
            yield from group.entries.values()
        yield from self._door.values()

    def __repr__(self) -> str:
        return f"Buffer(<{self._count} items, {len(self._door)} at the door>)"

    def has_room(self, size: int) -> bool:
        """Return whether an entry of this size would be admitted at once."""
        return not self._door and self._fits(size)

    def append(self, entry: Entry[T, R], now: float) -> None:
        """Admit an entry. It waits at the door if it does not fit, or if others already wait there."""
        entry.number = self._last = self._last + 1
        entry.arrived = now
        if self._door or not self._fits(entry.size):
            self._door[entry.number] = entry
        else:
            self._let_in(entry)

    def discard(self, entry: Entry[T, R]) -> bool:
        """Remove one entry, even from the door. Return False if it was already taken."""
        group = self._groups.get(entry.group)
        if group is not None and group.entries.pop(entry.number, None) is not None:
            self._make_room(group, 1, entry.size)
        elif self._door.pop(entry.number, None) is not None:
            # If this entry was first at the door and too large to fit, a smaller one behind it may fit.
            self._open_door()
        else:
            return False
        return True

    def flush(self) -> None:
        """Let all entries that are waiting leave at once, whatever the linger. That includes entries at the door."""
        self._flushed = self._last

    def due(self) -> float | None:
        """Return when a batch may be taken: 0 for at once, None while nothing waits."""
        return min((self._due(group) for group in self._groups.values()), default=None)

    def take(self, now: float) -> list[Entry[T, R]]:
        """Take the oldest batch that may leave now. It is empty if there is none."""
        ready = [group for group in self._groups.values() if self._due(group) <= now]
        if not ready:
            return []
        group = min(ready, key=lambda each: each.first().number)
        if len(group.entries) <= self._max_batch_count and group.size <= self._max_batch_bytes:
            taken, size = list(group.entries.values()), group.size
            group.entries.clear()
        else:
            taken, size = self._take_first_of(group)
        self._make_room(group, len(taken), size)
        return taken

    def _take_first_of(self, group: _Group[T, R]) -> tuple[list[Entry[T, R]], int]:
        """Take as many entries of the group as one batch holds. Return them and their total size."""
        taken: list[Entry[T, R]] = []
        size = 0
        for entry in islice(group.entries.values(), self._max_batch_count):
            if taken and size + entry.size > self._max_batch_bytes:
                break
            taken.append(entry)
            size += entry.size
        for entry in taken:
            del group.entries[entry.number]
        return taken, size

    def take_door(self) -> list[Entry[T, R]]:
        """Take everything that waits at the door, in the order of arrival."""
        taken = list(self._door.values())
        self._door.clear()
        return taken

    def take_all(self) -> list[Entry[T, R]]:
        """Take everything that waits, at the door too, in the order of arrival."""
        taken = sorted(self, key=lambda entry: entry.number)
        self._groups.clear()
        self._door.clear()
        self._count = self._size = 0
        return taken

    def _due(self, group: _Group[T, R]) -> float:
        first = group.first()
        # While entries wait at the door, a linger here would only delay them, and they have waited long enough.
        full = self._door or len(group.entries) >= self._max_batch_count or group.size >= self._max_batch_bytes
        return 0.0 if full or first.number <= self._flushed or not self._linger else first.arrived + self._linger

    def _fits(self, size: int) -> bool:
        return self._count == 0 or (self._count < self._max_count and self._size + size <= self._max_bytes)

    def _let_in(self, entry: Entry[T, R]) -> None:
        group = self._groups.get(entry.group)
        if group is None:
            group = self._groups[entry.group] = _Group(entry.group)
        group.entries[entry.number] = entry
        group.size += entry.size
        self._count += 1
        self._size += entry.size

    def _make_room(self, group: _Group[T, R], count: int, size: int) -> None:
        """Subtract what was taken from the group, and admit the entries at the door that fit now."""
        group.size -= size
        if not group.entries:
            del self._groups[group.key]
        self._count -= count
        self._size -= size
        if self._door:
            self._open_door()

    def _open_door(self) -> None:
        # Only the first entry is tried, even where a smaller one behind it would fit. Otherwise smaller ones could keep
        # overtaking a large one, which would then wait for ever.
        while self._door and self._fits(next(iter(self._door.values())).size):
            self._let_in(self._door.popitem(last=False)[1])
