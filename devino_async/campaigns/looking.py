"""Looking: where the journal's records hold the messages of a chunk, what differs, and which of them may be sent.

These are pure functions. Reading the journal and sending are in campaign.py.
"""

import re
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence

from attrs import field, frozen

from ..errors import DevinoError
from ..flow.chunking import Chunk
from ..protocol.message import Message
from .fingerprints import SIZE
from .states import MAY_BE_SENT, Mark, Record

__all__ = ["Group", "Known", "Looked", "first_difference", "found", "in_order", "stretches", "to_send"]

# Runs of messages that may be sent, and runs of all others. See MAY_BE_SENT.
_RUNS = re.compile(b"([pn]+)|[^pn]+")
_MESSAGES_A_STEP = 256


@frozen
class Known:
    """A run of messages that one part holds in the same order: from `at` in the chunk, from `offset` in the part."""

    at: int
    length: int
    record: Record
    offset: int

    @property
    def marks(self) -> bytes:
        return self.record.marks[self.offset : self.offset + self.length]


@frozen(repr=False)
class Looked(Chunk[Message]):
    """A chunk of the input with what the journal knows of it.

    `positions` are the places of its messages in the campaign. From the place `end` on, nothing may be sent, because of
    `problem`.
    """

    positions: Sequence[int] = ()
    fingerprints: bytes = b""
    known: Sequence[Known] = ()
    end: int = 0
    problem: DevinoError | None = None
    unsent: int = field(init=False)

    @property
    def size(self) -> int:
        """Bytes of its JSON."""
        return sum(map(len, self.slices))

    def __attrs_post_init__(self) -> None:
        settled = sum(
            each.length - sum(map(each.marks.count, MAY_BE_SENT)) for each in self.known if each.at < self.end
        )
        object.__setattr__(self, "unsent", self.end - settled)


@frozen(repr=False)
class Group(Chunk[Message]):
    """Chunks that were looked up and are finished together. `items` holds the messages of all of them."""

    looked: Sequence[Looked] = ()

    @classmethod
    def of(cls, looked: Sequence[Looked]) -> "Group":
        """Join chunks."""
        items: Sequence[Message] = looked[0].items
        if len(looked) > 1:
            items = [message for each in looked for message in each.items]
        return cls(items, [], looked[0].position, looked)


def found(wanted: Sequence[int], records: Sequence[Record]) -> Generator[None, None, list[Known]]:
    """Return where the records hold the wanted positions, in the order of the chunk. Positions below 0 are skipped."""
    ordered = isinstance(wanted, range)
    # Sorted, so that for each record only the positions between its lowest and its highest are looked at.
    placed = [] if ordered else sorted((each, place) for place, each in enumerate(wanted) if each >= 0)
    found: list[Known] = []
    for record in records:
        if ordered and isinstance(record.positions, range):
            first = max(wanted[0], record.positions.start)
            last = min(wanted[-1] + 1, record.positions.stop)
            pairs = [(first - wanted[0], first - record.positions.start, last - first)]
        elif ordered:
            pairs = [(each - wanted[0], at, 1) for at, each in enumerate(record.positions) if each in wanted]
        else:
            pairs = sorted(_within(placed, record.positions))
        for at, offset, length in _joined(pairs):
            found += _not_moved(at, offset, length, record)
        yield
    found.sort(key=lambda each: each.at)
    return found


def _within(placed: Sequence[tuple[int, int]], positions: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield place and offset of each wanted position that a record has."""
    first, last = (positions[0], positions[-1]) if isinstance(positions, range) else (min(positions), max(positions))
    offsets = None if isinstance(positions, range) else {each: offset for offset, each in enumerate(positions)}
    for position, place in placed[bisect_left(placed, (first, -1)) : bisect_left(placed, (last + 1, -1))]:
        offset = position - first if offsets is None else offsets.get(position)
        if offset is not None:
            yield place, offset, 1


def _joined(pairs: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    joined: list[tuple[int, int, int]] = []
    for at, offset, length in pairs:
        if joined:
            last_at, last_offset, last_length = joined[-1]
            if (at, offset) == (last_at + last_length, last_offset + last_length):
                joined[-1] = last_at, last_offset, last_length + length
                continue
        if length > 0:
            joined.append((at, offset, length))
    return joined


def _not_moved(at: int, offset: int, length: int, record: Record) -> list[Known]:
    moved = bytes((Mark.MOVED,))
    marks = record.marks[offset : offset + length]
    if moved not in marks:
        return [Known(at, length, record, offset)]
    found = []
    start = 0
    for piece in marks.split(moved):
        if piece:
            found.append(Known(at + start, len(piece), record, offset + start))
        start += len(piece) + 1
    return found


def first_difference(known: Sequence[Known], fingerprints: bytes) -> int | None:
    for each in known:
        here = fingerprints[SIZE * each.at : SIZE * (each.at + each.length)]
        there = each.record.fingerprints[SIZE * each.offset : SIZE * (each.offset + each.length)]
        if here != there:
            return next(
                each.at + n
                for n in range(each.length)
                if here[SIZE * n : SIZE * (n + 1)] != there[SIZE * n : SIZE * (n + 1)]
            )
    return None


def in_order(wanted: Sequence[int]) -> range | None:
    """Return positions as a range if each is one more than the one before. -1 stands for none, and may come after."""
    count = len(wanted) - wanted.count(-1)
    if count == 0:
        return range(0)
    here = range(wanted[0], wanted[0] + count)
    # With -1 in front, the numbers would still be in order.
    is_range = here[0] >= 0 and wanted[count - 1] == here[-1] and list(wanted[:count]) == list(here)
    return here if is_range else None


def stretches(looked: Looked) -> Iterator[tuple[int, int, Known | None]]:
    """Yield the messages before `end` as stretches: (start, stop, None) if they are to be sent, else with a Known."""
    unsent = 0
    for known in looked.known:
        for run in _RUNS.finditer(known.marks):
            start, stop = known.at + run.start(), min(known.at + run.end(), looked.end)
            if run[1] is None and start < stop:
                if unsent < start:
                    yield unsent, start, None
                yield start, stop, known
                unsent = stop
    if unsent < looked.end:
        yield unsent, looked.end, None


def to_send(looked: Sequence[Looked]) -> Generator[None, None, tuple[list[Message], list[int], bytes]]:
    """Return the messages that may be sent, their positions and fingerprints. Yields after every few hundred."""
    messages: list[Message] = []
    positions: list[int] = []
    fingerprints = bytearray()
    seen = 0
    for each in looked:
        for first, last, known in stretches(each):
            for start in range(first, last, _MESSAGES_A_STEP):
                stop = min(start + _MESSAGES_A_STEP, last)
                if known is None:
                    messages += each.items[start:stop]
                    positions += each.positions[start:stop]
                    fingerprints += each.fingerprints[SIZE * start : SIZE * stop]
                seen += stop - start
                if seen >= _MESSAGES_A_STEP:
                    seen = 0
                    yield
    return messages, positions, bytes(fingerprints)
