"""Results of parts whose messages did not all wait for the answer, and the blobs that parts are stored as."""

import json
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from stores import answer, message_at, outcome_of, receipt_of

from devino_async import Unconfirmed
from devino_async.campaigns.blobs import (
    Damaged,
    blanked,
    lines_of,
    pack_bodies,
    pack_bytes,
    pack_positions,
    unpack_bodies,
    unpack_bytes,
    unpack_positions,
)
from devino_async.campaigns.merging import merged
from devino_async.campaigns.results import Results
from devino_async.campaigns.states import Outcome, State, settled
from devino_async.flow.steps import at_once
from devino_async.protocol.receipt_runs import Receipts
from devino_async.protocol.sending import encode

OLD, NEW = "1", "2"
pairs = st.lists(st.tuples(st.sampled_from("pcarnusm"), st.sampled_from("arnu")), min_size=1, max_size=12)


def packed_before(marks: str) -> bytes:
    """The results that a part with these marks has from an earlier answer."""
    known = [(at, mark.replace("s", "u")) for at, mark in enumerate(marks) if mark in "arnus"]
    return answer([at for at, _ in known], "".join(mark for _, mark in known), OLD)[1] if known else b""


@given(pairs=pairs)
def test_a_late_answer_shifts_no_results(pairs: list[tuple[str, str]]) -> None:
    """Each message keeps its own id, reasons or words: those of the answer that settled it."""
    before, now = ("".join(each) for each in zip(*pairs, strict=True))
    marks, results = answer(range(len(now)), now, NEW)
    found = merged(before.encode(), packed_before(before), marks, results)
    after = settled(before.encode(), marks)
    expected = []
    for at, (old, new) in enumerate(pairs):
        if old in "arn":
            expected.append(outcome_of(at, old, OLD))
        elif old == "s":
            expected.append(Outcome(position=at, state=State.ASSUMED_SENT))
        elif old != "m":
            expected.append(outcome_of(at, new, NEW))
    assert list(Results(after, found).outcomes(range(len(after)))) == expected
    for at, (old, new) in enumerate(pairs):
        if old in "pcu" and new == "u":
            into = Receipts()
            at_once(Results(after, found).replay(at, [message_at(at)], into))
            [receipt] = into
            assert isinstance(receipt, Unconfirmed)
            assert receipt.error.problem == receipt_of(at, "u", NEW).error.problem


def test_words_that_are_missing() -> None:
    """A message that a dead process had claimed and a person then settled has no words, even after a late answer."""
    marks, results = answer(range(3), "aua", NEW)
    found = merged(b"suc", b"", marks, results)
    assert list(Results(b"sua", found).outcomes(range(3))) == [
        Outcome(position=0, state=State.ASSUMED_SENT),
        outcome_of(1, "u", NEW),
        outcome_of(2, "a", NEW),
    ]
    into = Receipts()
    at_once(Results(b"sua", found).replay(1, [message_at(1)], into))
    [receipt] = into
    assert isinstance(receipt, Unconfirmed)
    assert receipt.error.problem == receipt_of(1, "u", NEW).error.problem


@given(positions=st.sets(st.integers(0, 2**40), min_size=1).map(sorted))
def test_positions(positions: list[int]) -> None:
    """Positions come back as they were, and those without a gap take no space."""
    stored = pack_positions(positions)
    assert list(unpack_positions(stored, positions[0], positions[-1])) == positions
    start = positions[0]
    assert pack_positions(range(start, start + 9)) is None
    assert unpack_positions(None, start, start + 8) == range(start, start + 9)


pieces = st.sampled_from(["a", '"', "\\", "\n", ',{"from":', "я", "null", "}", " "])
texts = st.lists(pieces, min_size=1, max_size=8).map("".join)


@given(texts=st.lists(texts, min_size=1, max_size=9), size=st.integers(1, 4), data=st.data())
def test_bodies(texts: list[str], size: int, data: st.DataObject) -> None:
    """The JSON of each message is unpacked unchanged, whatever its text is and however the slices are cut."""
    marks = data.draw(st.text("pcarnusm", min_size=len(texts), max_size=len(texts)))
    bodies = [each.encode() for each in encode(message_at(at, text) for at, text in enumerate(texts))]
    slices = [b",".join(bodies[at : at + size]) for at in range(0, len(bodies), size)]
    assert lines_of(slices, len(bodies)) == bodies
    assert unpack_bodies(pack_bodies(slices), len(bodies)) == bodies
    kept = blanked(bodies, marks.encode())
    if not {*marks} & {*"pcnu"}:
        assert kept is None
    else:
        expected = [body if mark in "pcnu" else b"" for body, mark in zip(bodies, marks, strict=True)]
        assert unpack_bodies(kept, len(bodies)) == expected


@given(values=st.lists(st.dictionaries(st.text(max_size=3), st.text()), min_size=1, max_size=5))
def test_bodies_of_any_form(values: list[dict[str, str]]) -> None:
    """JSON that another program has written is kept message by message too."""
    slices = [json.dumps(each, indent=1).encode() for each in values]
    found = unpack_bodies(pack_bodies(slices), len(values))
    assert list(map(json.loads, found)) == values
    assert lines_of(slices, len(values)) == found


@pytest.mark.parametrize("between", [", ", ",\n", " ,\n\n"])
def test_bodies_with_space_between(between: str) -> None:
    """White space between messages does not change how they are split into lines."""
    slices = [between.join(['{"to":"1"}', '{"to":"2"}', '{"to":"3"}']).encode(), b'{"to":"4"}']
    expected = [b'{"to": "%d"}' % number for number in (1, 2, 3, 4)]
    assert unpack_bodies(pack_bodies(slices), 4) == lines_of(slices, 4) == expected


@given(plain=st.binary(min_size=1), at=st.integers(0, 1_000), level=st.sampled_from([0, 1]))
def test_damage(plain: bytes, at: int, level: int) -> None:
    """A flipped bit is an error or changes nothing. It never gives other bytes."""
    stored = bytearray(pack_bytes(plain, level))
    stored[at % len(stored)] ^= 1
    with suppress(Damaged):
        assert unpack_bytes(bytes(stored)) == plain
    with pytest.raises(Damaged):
        unpack_bytes(bytes(stored[:-1]))


@pytest.mark.parametrize(
    "stored",
    [b'{"from":"a"}', b'{"from":"a"},{"from":"a"},{"from":"a"}', b"\n\n", b"[", b""],
)
def test_bodies_that_do_not_fit(stored: bytes) -> None:
    """Texts that are not as many as their messages are damage. They are never given to the wrong messages."""
    with pytest.raises(Damaged):
        unpack_bodies(pack_bytes(stored), 2)
