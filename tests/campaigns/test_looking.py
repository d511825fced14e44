"""Looking: where the journal holds the messages of a chunk, against a model that is one dict."""

from array import array
from collections.abc import Sequence
from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from devino_async import Message
from devino_async.campaigns.fingerprints import SIZE
from devino_async.campaigns.looking import Looked, first_difference, found, in_order, stretches, to_send
from devino_async.campaigns.states import MAY_BE_SENT, Mark, Record
from devino_async.flow.steps import at_once

SIZE_OF_CAMPAIGN = 24
MARKS = st.sampled_from("pcarnus").map(ord)
MESSAGE = Message(sender="MyCompany", to="79001234567", text="text")


def print_of(position: int) -> bytes:
    return position.to_bytes(SIZE, "big")


@st.composite
def histories(draw: st.DrawFn) -> list[Record]:
    """Parts as runs leave them: each position has its state in one part, and is marked as moved in all others."""
    owner: dict[int, int] = {}
    parts: list[list[int]] = []
    for number in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            start = draw(st.integers(0, SIZE_OF_CAMPAIGN - 1))
            positions = list(range(start, draw(st.integers(start + 1, SIZE_OF_CAMPAIGN))))
        else:
            positions = sorted(draw(st.sets(st.integers(0, SIZE_OF_CAMPAIGN - 1), min_size=1)))
        parts.append(positions)
        owner.update(dict.fromkeys(positions, number))
    records = []
    for number, positions in enumerate(parts):
        marks = bytes(draw(MARKS) if owner[each] == number else Mark.MOVED for each in positions)
        whole = positions == list(range(positions[0], positions[-1] + 1))
        kept: Sequence[int] = range(positions[0], positions[-1] + 1) if whole else array("Q", positions)
        prints = b"".join(map(print_of, positions))
        records.append(Record(token=str(number), positions=kept, fingerprints=prints, marks=marks))
    return sorted(records, key=lambda each: each.positions[0])


def states(records: list[Record]) -> dict[int, int]:
    return {
        position: mark
        for record in records
        for position, mark in zip(record.positions, record.marks, strict=True)
        if mark != Mark.MOVED
    }


def test_positions_in_order() -> None:
    """Positions are a range if they are consecutive and all before the places without one, wherever these stand."""
    for length in range(1, 6):
        for wanted in product(range(-1, 4), repeat=length):
            there = [each for each in wanted if each >= 0]
            consecutive = all(after == before + 1 for before, after in pairwise(there))
            is_first = list(wanted[: len(there)]) == there
            expected = list(there) if consecutive and is_first else None
            result = in_order(wanted)
            assert (None if result is None else list(result)) == expected, wanted


def looked_up(wanted: Sequence[int], records: list[Record], *, end: int | None = None) -> Looked:
    known = at_once(found(wanted, records))
    items = [MESSAGE] * len(wanted)
    return Looked(items, [], 0, wanted, b"", known, end=len(items) if end is None else end)


@given(histories(), st.data())
def test_places_and_states(records: list[Record], data: st.DataObject) -> None:
    """Each message is found in the part that has it now, whatever the order of the input. Nothing else is found."""
    if data.draw(st.booleans()):
        start = data.draw(st.integers(0, SIZE_OF_CAMPAIGN - 1))
        wanted: Sequence[int] = range(start, data.draw(st.integers(start + 1, SIZE_OF_CAMPAIGN + 3)))
    else:
        positions = st.lists(st.integers(0, SIZE_OF_CAMPAIGN + 3), unique=True, min_size=1)
        wanted = [each if data.draw(st.booleans()) else -1 for each in data.draw(positions)]
    here = {
        known.at + n: (known.record.positions[known.offset + n], known.marks[n])
        for known in at_once(found(wanted, records))
        for n in range(known.length)
    }
    model = states(records)
    assert here == {place: (each, model[each]) for place, each in enumerate(wanted) if each in model}


@given(histories(), st.data())
def test_what_may_be_sent(records: list[Record], data: st.DataObject) -> None:
    """Messages before `end` may be sent if new, planned or not sent. Stretches cover all places once, in order."""
    wanted = range(SIZE_OF_CAMPAIGN)
    end = data.draw(st.integers(0, SIZE_OF_CAMPAIGN))
    looked = looked_up(wanted, records, end=end)
    model = states(records)
    expected = [each for each in range(end) if each not in model or model[each] in MAY_BE_SENT]
    assert at_once(to_send([looked]))[1] == expected
    covered = [place for start, stop, _ in stretches(looked) for place in range(start, stop)]
    assert covered == list(range(end))
    assert all(stop > start for start, stop, _ in stretches(looked))
    if end == SIZE_OF_CAMPAIGN:
        assert looked.unsent == len(expected)


@given(histories(), st.sets(st.integers(0, SIZE_OF_CAMPAIGN - 1)))
def test_the_first_difference(records: list[Record], changed: set[int]) -> None:
    """The first message that differs from the recorded one at its place is found. A new message is no difference."""
    wanted = range(SIZE_OF_CAMPAIGN)
    prints = b"".join(print_of(each + 1_000 if each in changed else each) for each in wanted)
    differing = [each for each in sorted(changed) if each in states(records)]
    assert first_difference(at_once(found(wanted, records)), prints) == (differing[0] if differing else None)
