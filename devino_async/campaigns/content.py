"""Content: matching the messages of an input with recorded ones by what they say, not by their positions.

This is for inputs that are edited between runs. Equal messages are counted: two in the journal match two in the input.
It takes 9 bytes of memory for each message, and 13 once the input departs from the recorded order.
"""

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator

from ..flow.steps import at_once
from .fingerprints import SIZE
from .journal import Journal
from .states import Mark, Record

__all__ = ["Content"]

# Smaller than most parts, so that no window decodes more than a part or two.
_WINDOW = 8_000
_MESSAGES_A_STEP = 256
_INDEXED_A_STEP = 2_048
# At most about 2 ** _BUCKET_BITS fingerprints share a bucket of the index.
_BUCKET_BITS = 9
# The array type of a position.
_POSITION = "I"


class Content:
    """The recorded messages of a campaign, by position: fingerprints, and marks of those the input has not taken yet.

    Use `of` to read it from a journal.
    """

    def __init__(self, fingerprints: "bytes | array[int]", marks: bytes | bytearray) -> None:
        self._fingerprints = fingerprints if isinstance(fingerprints, array) else _numbers(fingerprints)
        # 0 where nothing is recorded, or where the message was taken.
        self._marks = bytearray(marks)
        self._waiting = len(marks) - self._marks.count(0)
        # Kept only if something in between was never recorded.
        self._recorded = bytes(marks) if 0 in self._marks else b""
        # While the input is in the recorded order, all positions before this one are taken, and no index is needed.
        self._cursor = 0
        self._index: _Index | None = None

    def __repr__(self) -> str:
        return f"Content({self._waiting:,} of {len(self._marks):,} not taken)"

    @property
    def marks(self) -> bytes:
        """The marks of the positions now. 0 stands for a message that was taken, or never recorded."""
        return bytes(self._marks)

    @classmethod
    async def of(cls, journal: Journal, name: str) -> "Content":
        """Read what a campaign has recorded, in windows of positions."""
        size = await journal.recorded(name)
        # Not copied: a copy for a million messages would block the event loop for milliseconds.
        fingerprints, marks = array("Q", [0]) * size, bytearray(size)
        as_bytes = memoryview(fingerprints).cast("B") if size else memoryview(b"")
        for start in range(0, size, _WINDOW):
            window = range(start, min(start + _WINDOW, size))
            for record in await journal.records(name, window.start, window.stop):
                _copy(record, window, as_bytes, marks)
                # Stores that answer from memory do not pause by themselves.
                await asyncio.sleep(0)
        return cls(fingerprints, marks)

    def gaps(self) -> Iterator[int]:
        """Yield the positions without a record, below the highest recorded one. Their batch never began."""
        at = self._recorded.find(0)
        while at >= 0:
            yield at
            at = self._recorded.find(0, at + 1)

    def match(self, fingerprints: bytes) -> list[int]:
        """Return the recorded position that each of these fingerprints takes, or -1 if there is none.

        No position is taken twice. Of several equal messages the one with the lowest position is taken first.
        """
        return at_once(self.match_in_steps(fingerprints))

    def match_in_steps(self, fingerprints: bytes) -> Generator[None, None, list[int]]:
        """Do the same as `match`. Yields after every few hundred, and while it builds the index."""
        wanted = _numbers(fingerprints)
        found = self._take_in_order(wanted)
        if len(found) < len(wanted) and self._waiting and self._index is None:
            self._index = yield from _Index.of(self._fingerprints, self._marks)
        for number in range(len(found), len(wanted)):
            found.append(self._take(wanted[number]))
            if number % _MESSAGES_A_STEP == 0:
                yield
        return found

    def missing(self, marks: bytes) -> int:
        """Return how many recorded messages with one of these marks were not taken."""
        return sum(map(self._marks.count, marks))

    def _take_in_order(self, wanted: "array[int]") -> list[int]:
        """Take recorded messages from the cursor on while the wanted ones are equal to them. Return their positions."""
        if self._index is not None:
            return []
        start = self._cursor
        stop = min(start + len(wanted), len(self._marks))
        if 0 in self._marks[start:stop]:
            # Something in between was never recorded.
            stop = self._marks.index(0, start)
        if self._fingerprints[start:stop] != wanted[: stop - start]:
            pairs = zip(self._fingerprints[start:stop], wanted, strict=False)
            stop = start + next(number for number, (one, other) in enumerate(pairs) if one != other)
        self._marks[start:stop] = bytes(stop - start)
        self._waiting -= stop - start
        self._cursor = stop
        return list(range(start, stop))

    def _take(self, fingerprint: int) -> int:
        position = -1 if self._index is None or not self._waiting else self._index.first(fingerprint)
        if position >= 0:
            self._marks[position] = 0
            self._waiting -= 1
        return position


class _Index:
    """The positions that were not taken when it was built, sorted by fingerprint and then by position.

    Fingerprints are evenly spread, so their highest bits make buckets of about equal size. Each bucket is sorted alone.
    Among equal fingerprints, the positions already taken come first, because the lowest is always taken first.
    """

    def __init__(self, fingerprints: "array[int]", marks: bytearray, shift: int) -> None:
        self._fingerprints = fingerprints
        self._marks = marks
        self._shift = shift
        self._sorted: array[int] = array(_POSITION)
        self._starts: array[int] = array("Q", bytes(8 * ((1 << 64 >> shift) + 1)))

    @classmethod
    def of(cls, fingerprints: "array[int]", marks: bytearray) -> Generator[None, None, "_Index"]:
        """Build the index. Yields after every few thousand."""
        index = cls(fingerprints, marks, 64 - max(0, len(marks).bit_length() - _BUCKET_BITS))
        yield from index._place()
        for number in range(len(index._starts) - 1):
            index._sort(number)
            yield
        return index

    def first(self, fingerprint: int) -> int:
        """Return the lowest position with this fingerprint that is not taken, or -1."""
        bucket = fingerprint >> self._shift
        start, stop = self._starts[bucket], self._starts[bucket + 1]
        key = self._fingerprints.__getitem__
        at = bisect_left(self._sorted, fingerprint, start, stop, key=key)
        if at < stop and not self._marks[self._sorted[at]]:
            stop = bisect_right(self._sorted, fingerprint, at, stop, key=key)
            at = bisect_left(self._sorted, True, at, stop, key=lambda position: self._marks[position] != 0)
        if at == stop or key(self._sorted[at]) != fingerprint:
            return -1
        return self._sorted[at]

    def _place(self) -> Generator[None, None, None]:
        """Put each position into the bucket of its fingerprint, in ascending order."""
        marks, shift = self._marks, self._shift
        ends = self._starts[1:]
        for start in range(0, len(marks), _INDEXED_A_STEP):
            block = slice(start, start + _INDEXED_A_STEP)
            for fingerprint, mark in zip(self._fingerprints[block], marks[block], strict=True):
                ends[fingerprint >> shift] += 1 if mark else 0
            yield
        for bucket in range(1, len(ends)):
            ends[bucket] += ends[bucket - 1]
        self._starts[1:] = ends
        self._sorted = array(_POSITION, bytes(self._sorted.itemsize * ends[-1]))
        free = self._starts[:-1]
        for start in range(0, len(marks), _INDEXED_A_STEP):
            block = slice(start, start + _INDEXED_A_STEP)
            for position, fingerprint in enumerate(self._fingerprints[block], start):
                if marks[position]:
                    bucket = fingerprint >> shift
                    self._sorted[free[bucket]] = position
                    free[bucket] += 1
            yield

    def _sort(self, bucket: int) -> None:
        part = slice(self._starts[bucket], self._starts[bucket + 1])
        self._sorted[part] = array(_POSITION, sorted(self._sorted[part], key=self._fingerprints.__getitem__))


def _numbers(fingerprints: bytes) -> "array[int]":
    numbers = array("Q")
    numbers.frombytes(fingerprints)
    return numbers


def _copy(record: Record, window: range, fingerprints: bytearray | memoryview, marks: bytearray) -> None:
    """Copy the messages of a part that lie in a window of positions and have not moved."""
    positions = record.positions
    if isinstance(positions, range) and Mark.MOVED not in record.marks:
        first, last = max(window.start, positions.start), min(window.stop, positions.stop)
        there = slice(first - positions.start, last - positions.start)
        if first < last:
            marks[first:last] = record.marks[there]
            fingerprints[first * SIZE : last * SIZE] = record.fingerprints[there.start * SIZE : there.stop * SIZE]
        return
    # The positions of a part may be in any order: new messages of an edited input fill the gaps of earlier runs.
    for number, at in enumerate(positions):
        if at in window and record.marks[number] != Mark.MOVED:
            marks[at] = record.marks[number]
            fingerprints[at * SIZE : (at + 1) * SIZE] = record.fingerprints[number * SIZE : (number + 1) * SIZE]
