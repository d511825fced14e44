"""Messages recognised by their content: each recorded one once, in any order, equal ones counted."""

import random
from collections import Counter
from collections.abc import Generator, Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devino_async.campaigns import content
from devino_async.campaigns.content import Content
from devino_async.campaigns.states import Mark, Record
from devino_async.flow.steps import at_once

ACCEPTED, REJECTED = bytes((Mark.ACCEPTED,)), bytes((Mark.REJECTED,))
# Few different ones, spread over all buckets, so that most have twins. One is 0, as positions never recorded are.
KINDS = [bytes(8), b"\xff" * 8, *(random.Random(n).randbytes(8) for n in range(6))]
messages = st.lists(st.sampled_from(KINDS), max_size=60)


def lowest_first(recorded: Sequence[bytes | None], wanted: Sequence[bytes]) -> list[int]:
    """What `match` must return, in the plainest words."""
    left = list(recorded)
    found = []
    for each in wanted:
        found.append(left.index(each) if each in left else -1)
        if found[-1] >= 0:
            left[found[-1]] = None
    return found


def content_of(recorded: Sequence[bytes | None]) -> Content:
    return Content(
        b"".join(each or bytes(8) for each in recorded), b"".join(b"\0" if each is None else b"a" for each in recorded)
    )


@given(recorded=messages, wanted=messages)
def test_a_multiset(recorded: list[bytes], wanted: list[bytes]) -> None:
    """What both sides have in common is recognised, equal ones counted, and the others are missing or new."""
    known = content_of(recorded)
    found = known.match(b"".join(wanted))
    taken = [position for position in found if position >= 0]
    assert len(taken) == len(set(taken)) == (Counter(recorded) & Counter(wanted)).total()
    assert all(position < 0 or recorded[position] == each for position, each in zip(found, wanted, strict=True))
    assert known.missing(ACCEPTED) == (Counter(recorded) - Counter(wanted)).total()


@example(recorded=[KINDS[1], None, KINDS[1]], wanted=[KINDS[1], KINDS[0], KINDS[1]], cuts=[1])
@given(
    recorded=st.lists(st.sampled_from([None, *KINDS]), max_size=60),
    wanted=messages,
    cuts=st.lists(st.integers(0, 60), max_size=4),
)
def test_the_lowest_of_equal_ones(recorded: list[bytes | None], wanted: list[bytes], cuts: list[int]) -> None:
    """The lowest free position is taken first, however the input is cut and whatever positions were never recorded."""
    known = content_of(recorded)
    found = []
    for start, stop in pairwise([0, *sorted(cuts), 60]):
        found += known.match(b"".join(wanted[start:stop]))
    assert found == lowest_first(recorded, wanted)


@given(recorded=messages, data=st.data())
def test_any_order(recorded: list[bytes], data: st.DataObject) -> None:
    """All of a reordered input is recognised, and what was added to it is new."""
    wanted = data.draw(st.permutations([*recorded, b"\x01" * 8]))
    known = content_of(recorded)
    assert sorted(known.match(b"".join(wanted))) == [-1, *range(len(recorded))]
    assert known.missing(ACCEPTED) == 0


def test_the_recorded_order_needs_no_index() -> None:
    """An input that did not change, or that grew at its end, is recognised without an index."""
    recorded = [random.Random(n).randbytes(8) for n in range(1_000)]
    known = content_of(recorded)
    assert known.match(b"".join(recorded[:300])) == [*range(300)]
    assert known.match(b"".join(recorded[300:]) + b"new one!") == [*range(300, 1_000), -1]
    assert known._index is None


def test_large_and_in_short_steps() -> None:
    """Each of many messages is found, in steps whose length depends neither on the campaign nor on the input."""
    chance = random.Random(14)
    recorded = [chance.randbytes(8) for _ in range(40_000)]
    order = chance.sample(range(40_000), 40_000)
    work = content_of(recorded).match_in_steps(b"".join(recorded[position] for position in order))
    steps = 0

    def counted() -> Generator[None, None, list[int]]:
        nonlocal steps
        while True:
            try:
                yield next(work)
            except StopIteration as finished:
                return list(finished.value)
            steps += 1

    assert at_once(counted()) == order
    assert steps >= 40_000 / content._MESSAGES_A_STEP + 2 * 40_000 / content._INDEXED_A_STEP


def test_missing_by_mark() -> None:
    """What was not taken is counted by its mark, and what was never recorded is not counted."""
    known = Content(b"".join(KINDS[:4]), b"\0" + ACCEPTED + REJECTED + ACCEPTED)
    assert (known.missing(ACCEPTED), known.missing(REJECTED), known.missing(ACCEPTED + REJECTED)) == (2, 1, 3)
    assert known.match(KINDS[3]) == [3]
    assert (known.missing(ACCEPTED), known.missing(REJECTED)) == (1, 1)


class Parts:
    """As much of a journal as Content reads: parts, each with its positions, and a mark for each message."""

    def __init__(self, *parts: Record) -> None:
        self._parts = parts

    async def recorded(self, name: str) -> int:
        return max((part.positions[-1] + 1 for part in self._parts), default=0)

    async def records(self, name: str, start: int, stop: int) -> list[Record]:
        return [
            part
            for part in self._parts
            if any(
                start <= at < stop and mark != Mark.MOVED for at, mark in zip(part.positions, part.marks, strict=True)
            )
        ]


def part(marks: bytes, positions: Sequence[int], fingerprints: bytes) -> Record:
    return Record(token="t", positions=positions, fingerprints=fingerprints, marks=marks)


@pytest.mark.parametrize("window", [1, 2, 3, 8_000])
async def test_reading(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each position counts once, with the part that has it now, however parts and windows overlap."""
    monkeypatch.setattr(content, "_WINDOW", window)
    one, two, three, four, five = KINDS[:5]
    journal = Parts(
        part(b"amu", range(3), one + two + three),
        part(b"ra", [1, 5], two + four),
        part(b"mn", range(5, 7), four + five),
    )
    known = await Content.of(journal, "spring")  # type: ignore[arg-type]
    assert [known.missing(mark) for mark in (b"a", b"r", b"u", b"n", b"m")] == [2, 1, 1, 1, 0]
    assert known.match(five + four + three + two + one + one) == [6, 5, 2, 1, 0, -1]


async def test_reading_nothing() -> None:
    """A campaign without a message recognises none."""
    known = await Content.of(Parts(), "spring")  # type: ignore[arg-type]
    assert known.match(KINDS[0]) == [-1]


@given(positions=st.permutations(range(8)), window=st.integers(1, 8), moved=st.sets(st.integers(0, 7)))
def test_parts_in_any_order(positions: list[int], window: int, moved: set[int]) -> None:
    """The positions of a part may be in any order: each fingerprint is read at its own position."""
    record = Record(
        token="t",
        positions=range(8) if positions == list(range(8)) else tuple(positions),
        fingerprints=b"".join(bytes((each,)) * 8 for each in positions),
        marks=b"".join(bytes((Mark.MOVED,)) if each in moved else ACCEPTED for each in positions),
    )
    fingerprints, marks = bytearray(64), bytearray(8)
    for start in range(0, 8, window):
        content._copy(record, range(start, min(start + window, 8)), fingerprints, marks)
    for each in range(8):
        here = bytes(8) if each in moved else bytes((each,)) * 8
        assert fingerprints[8 * each : 8 * each + 8] == here
        assert marks[each : each + 1] == (b"\0" if each in moved else ACCEPTED)
