"""Results: the receipts that are rebuilt from a journal equal those that were recorded."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import Accepted, Message, NotSent, Reason, Receipt, Rejected, Unconfirmed
from devino_async.campaigns.results import DIED, Results, pack, pack_one
from devino_async.campaigns.states import Mark, State
from devino_async.errors import OutcomeUnknown, RequestNotSent
from devino_async.flow.steps import at_once
from devino_async.protocol.receipt_runs import Receipts

MESSAGE = Message(sender="MyCompany", to="79001234567", text="secret text")
KINDS = "arun"


def receipt(kind: str, number: int) -> Receipt:
    match kind:
        case "a":
            return Accepted(MESSAGE, str(10**20 + number), (str(number), "7") if number % 3 == 0 else ())
        case "r":
            return Rejected(MESSAGE, (Reason("to.format.invalid", "to", "bad 79001234567"),), f"no {number}")
        case "u":
            return Unconfirmed(MESSAGE, OutcomeUnknown(f"cut {number}", operation="send"))
        case _:
            return NotSent(MESSAGE, RequestNotSent("refused", operation="send"))


def shown(receipt: Receipt) -> Any:
    match receipt:
        case Accepted():
            return receipt.message_id, receipt.segment_ids
        case Rejected():
            return [(each.key, each.ref) for each in receipt.reasons], receipt.description
        case _:
            return type(receipt.error), receipt.error.problem


@given(st.lists(st.sampled_from(KINDS), min_size=1, max_size=300), st.data())
def test_round_trip(kinds: list[str], data: st.DataObject) -> None:
    """A replay of any stretch of a part gives the receipts that were recorded, in their order."""
    made = [receipt(kind, number) for number, kind in enumerate(kinds)]
    receipts = Receipts()
    receipts.ready(made)
    marks, packed = at_once(pack(receipts))
    assert marks == "".join(kinds).encode()
    kept = [each for each in made if not isinstance(each, NotSent)]
    places = [place for place, each in enumerate(made) if not isinstance(each, NotSent)]
    for place, each in zip(places, kept, strict=True):
        again = Receipts()
        at_once(Results(marks, packed).replay(place, [MESSAGE], again))
        [found] = again
        assert (type(found), shown(found)) == (type(each), shown(each))
    if len(kept) == len(made):
        start = data.draw(st.integers(0, len(made) - 1))
        stop = data.draw(st.integers(start, len(made)))
        again = Receipts()
        at_once(Results(marks, packed).replay(start, [MESSAGE] * (stop - start), again))
        assert [shown(each) for each in again] == [shown(each) for each in made[start:stop]]


def test_runs_are_packed_as_single_receipts_are() -> None:
    """Receipts that a batch keeps in runs, as plain values, are recorded like any others."""
    receipts = Receipts()
    receipts.accepted([MESSAGE] * 300, [str(each) for each in range(300)], ["[1, 2]"] * 300)
    receipts.accepted([MESSAGE] * 2, ["8", "9"], ['["1",\n"2"]', ""])
    receipts.failed([MESSAGE] * 200, OutcomeUnknown("cut", operation="send"))
    marks, packed = at_once(pack(receipts))
    again = Receipts()
    at_once(Results(marks, packed).replay(0, [MESSAGE] * 502, again))
    assert [shown(each) for each in again] == [shown(each) for each in receipts]


class CountingBytes(bytes):
    """Counts how many bytes are looked at through slices."""

    looked_at = 0

    def __getitem__(self, at: Any) -> Any:
        part = super().__getitem__(at)
        CountingBytes.looked_at += len(part) if isinstance(part, bytes) else 1
        return part


def test_a_replay_does_not_count_from_the_start() -> None:
    """Replaying a part piece by piece, in order, looks at each mark a few times, however many pieces there are."""
    receipts = Receipts()
    receipts.ready([receipt("ar"[number % 2], number) for number in range(4_000)])
    marks, packed = at_once(pack(receipts))
    results = Results(CountingBytes(marks), packed)
    again = Receipts()
    CountingBytes.looked_at = 0
    for place in range(0, 4_000, 2):
        at_once(results.replay(place, [MESSAGE], again))
    assert [shown(each) for each in again] == [shown(each) for each in receipts][::2]
    assert CountingBytes.looked_at < 4 * 4_000


def test_nothing_personal_is_kept() -> None:
    """Results hold neither texts nor phone numbers: a number in what the service says is masked."""
    _, packed = pack_one(receipt("r", 1))
    assert b"79001234567" not in packed
    assert b"secret" not in packed
    assert b"to.format.invalid" in packed


def test_a_dead_process_left_no_words() -> None:
    """A message whose process died before it could write anything is Unconfirmed, and says why."""
    found = Results(bytes((Mark.UNCONFIRMED,)), b"").receipt(MESSAGE)
    assert isinstance(found, Unconfirmed)
    assert found.error.problem == DIED


def test_assumed_sent_stays_unconfirmed() -> None:
    """A person's decision proves nothing: the receipt stays Unconfirmed, and says that a person decided."""
    marks, packed = at_once(pack(_of(receipt("u", 1), receipt("u", 2))))
    found = Receipts()
    at_once(Results(bytes((Mark.ASSUMED_SENT, marks[1])), packed).replay(0, [MESSAGE] * 2, found))
    first, second = found
    assert isinstance(first, Unconfirmed)
    assert "assumed" in first.error.problem
    assert shown(second) == shown(receipt("u", 2))


def test_outcomes_leave_out_what_has_moved() -> None:
    """Each message of a campaign has one outcome, that of the part which has it now."""
    marks, packed = at_once(pack(_of(receipt("a", 3), receipt("n", 1), receipt("r", 1), receipt("u", 1))))
    moved = marks.replace(b"n", bytes((Mark.MOVED,)))
    found = list(Results(moved, packed).outcomes(range(10, 14)))
    assert [(each.position, each.state) for each in found] == [
        (10, State.ACCEPTED),
        (12, State.REJECTED),
        (13, State.UNCONFIRMED),
    ]
    assert found[0].message_id == str(10**20 + 3)
    assert found[0].segment_ids == ("3", "7")
    assert found[1].reasons[0].key == "to.format.invalid"


@pytest.mark.parametrize("damage", [b"{", b"[]", json.dumps({"ids": "1"}).encode(), b"\xff"])
def test_damage_is_found(damage: bytes) -> None:
    """Results that do not fit the marks are an error, and never give the id of another message."""
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        Results(b"aa", damage)


def _of(*made: Receipt) -> Receipts:
    receipts = Receipts()
    receipts.ready(list(made))
    return receipts
