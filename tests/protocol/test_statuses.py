"""Status look-ups: each answer goes to the id that was asked for, float64-rounded ids included."""

# ruff: noqa: DTZ001 - the API docs name no zone for dates, so they are naive

import json
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import BadAnswer, InvalidQuery, MessageStatus, Status
from devino_async.exchange import Answer
from devino_async.protocol import statuses

EXACT = "3701172084729885952"
ROUNDED = 3701172084729885700


def as_javascript_prints(number: int) -> int:
    """What JSON.stringify makes of the number after JSON.parse: the shortest digits, filled up with zeros."""
    return int(Decimal(repr(float(number))))


def read_and_count(rows: Any, ids: list[str], **more: Any) -> tuple[list[MessageStatus], int]:
    body = rows if isinstance(rows, str) else json.dumps({"result": rows})
    return statuses.read(Answer(status=200, body=body.encode()), ids, **more)


def read(rows: Any, ids: list[str], **more: Any) -> list[MessageStatus]:
    return read_and_count(rows, ids, **more)[0]


def row(message_id: Any, status: Any = "DELIVERED", **more: Any) -> dict[str, Any]:
    return {"smsId": message_id, "status": status, "statusDateTime": "2022-09-09 19:29:34", **more}


big_ids = st.integers(2**53 + 2, 10**21).map(str)
id_sets = st.lists(big_ids | st.integers(1, 2**53).map(str), min_size=1, max_size=30, unique=True)


@given(id_sets, st.randoms(use_true_random=False))
def test_exact_ids(ids: list[str], shuffling: random.Random) -> None:
    """Exact ids are matched in any order, as numbers or text; the answer comes in the order of the request."""
    rows = [row(int(each) if shuffling.random() < 0.5 else each, f"S{index}") for index, each in enumerate(ids)]
    shuffling.shuffle(rows)
    assert [(each.message_id, each.status) for each in read(rows, ids)] == [
        (each, f"S{index}") for index, each in enumerate(ids)
    ]


@given(id_sets, st.randoms(use_true_random=False), st.sampled_from([as_javascript_prints, lambda n: int(float(n))]))
def test_rounded_ids(ids: list[str], shuffling: random.Random, rounding: Any) -> None:
    """Ids that went through a float64 find the id that was asked for, if it is the only one; else they find none."""
    rows = [row(rounding(int(each)), f"S{index}") for index, each in enumerate(ids)]
    shuffling.shuffle(rows)
    found = {each.message_id: each.status for each in read(rows, ids)}
    for index, each in enumerate(ids):
        if sum(float(other) == float(each) for other in ids) == 1:
            assert found[each] == f"S{index}"
        elif each != str(rounding(int(each))):
            assert each not in found


@given(id_sets, st.data())
def test_missing_ids_are_absent(ids: list[str], data: st.DataObject) -> None:
    """Ids that the service leaves out are absent, whichever they are; nothing is invented for them."""
    known = data.draw(st.lists(st.sampled_from(ids), unique=True))
    assert {each.message_id for each in read([row(each) for each in known], ids)} == set(known)


def test_the_pages_own_example() -> None:
    """The API docs' number finds the API docs' messageId, from which it is 252 away."""
    assert as_javascript_prints(int(EXACT)) == ROUNDED
    assert [each.message_id for each in read([row(ROUNDED)], [EXACT, "1"])] == [EXACT]


def test_ambiguous() -> None:
    """Two ids with the same float64 in one request: a rounded number belongs to neither."""
    assert read([row(ROUNDED)], [EXACT, "3701172084729885951"]) == []


def test_exact_before_rounded() -> None:
    """An exact match counts before a rounded one, and is not overwritten by it."""
    assert [(each.message_id, each.status) for each in read([row(int(EXACT), "SENT"), row(ROUNDED)], [EXACT])] == [
        (EXACT, "SENT")
    ]
    assert [(each.message_id, each.status) for each in read([row(ROUNDED), row(EXACT, "SENT")], [EXACT])] == [
        (EXACT, "SENT")
    ]


@pytest.mark.parametrize("other", [3701172084729885953, 3701172084729885951, "3701172084729885700", 5, "x", "0"])
def test_foreign_ids(other: Any) -> None:
    """A neighbouring exact number, a rounded text, and ids that nobody asked for match nothing."""
    assert read([row(other)], [EXACT]) == []


def test_small_numbers_are_never_rounded() -> None:
    """Below 2^53 a float64 is exact: there is no near match."""
    assert read([row(2**53 - 1)], [str(2**53)]) == []
    assert [each.message_id for each in read([row(2**53)], [str(2**53)])] == [str(2**53)]


def test_doubles() -> None:
    """An id asked for twice, and a row given twice, give one status."""
    assert len(read([row("5"), row("5")], ["5", "5"])) == 1


@pytest.mark.parametrize("status", [*Status, "BRAND_NEW", "delivered"])
def test_status_values(status: str) -> None:
    """All ten statuses of the API docs become members; what is new stays text as it is."""
    [found] = read([row("5", str(status))], ["5"])
    assert found.status == status
    assert isinstance(found.status, Status) is (status in Status.__members__)


def test_null_absent_extra() -> None:
    """The date may be null or absent, unknown columns may come; a single object is taken for a list of one."""
    for each in (row("5", statusDateTime=None), {"smsId": 5, "status": "DELIVERED", "new": [1]}):
        assert read([each], ["5"]) == [MessageStatus("5", Status.DELIVERED)]
        assert read(each, ["5"]) == [MessageStatus("5", Status.DELIVERED)]
    assert read([], ["5"]) == []


def test_zone() -> None:
    """Dates are naive unless the user names the zone."""
    assert read([row("5")], ["5"])[0].status_date_time == datetime(2022, 9, 9, 19, 29, 34)
    assert read([row("5")], ["5"], zone=UTC)[0].status_date_time == datetime(2022, 9, 9, 19, 29, 34, tzinfo=UTC)


@pytest.mark.parametrize(
    "bad",
    [row(3701172084729885700.0), row(True), row(["5"]), row({}), row("5", None), row("5", True), row("5", []),
     row("5", ""), row("5", " "), {"smsId": "5"}, {"status": "SENT"}, row(""), row(5.0), {}, None, "5", 5, []],
)  # fmt: skip
def test_rows_that_break_the_page(bad: Any) -> None:
    """An item without an id or a status is left out and counted. The others are given, whole and in order."""
    good = [row("1"), row("9", "SENT")]
    assert read_and_count([good[0], bad, good[1]], ["9", "5", "1"]) == (read(good, ["9", "1"]), 1)
    assert read_and_count([bad], ["5"]) == ([], 1)


@pytest.mark.parametrize("date", ["yesterday", 1587721283000, [], True])
def test_odd_dates(date: Any) -> None:
    """A date that cannot be read does not cost the status. The item is counted, as it was not read whole."""
    assert read_and_count([row("5", statusDateTime=date)], ["5"]) == ([MessageStatus("5", Status.DELIVERED)], 1)


def test_numbers_and_empty_texts() -> None:
    """A status may come as a number, which is its text, and an empty date is not known."""
    found = [MessageStatus("5", "7")]
    assert read_and_count([row("5", 7, statusDateTime="")], ["5"]) == (found, 0)
    assert read_and_count([row("5", 7.0, statusDateTime=None)], ["5"]) == (found, 0)


@pytest.mark.parametrize("result", ['"5"', "5", "true", "NaN", "[NaN", "[" * 100_000])
def test_results_that_break_the_page(result: str) -> None:
    """A result that is neither list nor object, and a body that is not JSON, is BadAnswer."""
    with pytest.raises(BadAnswer):
        read(f'{{"result": {result}}}', ["5"])


def test_first_rounded_id() -> None:
    """2^53 itself is what a float64 makes of 2^53 + 1, the first number that it cannot hold."""
    assert [each.message_id for each in read([row(2**53)], [str(2**53 + 1)])] == [str(2**53 + 1)]


def test_double_keys() -> None:
    """A row that names its id twice answers for neither."""
    body = '{"result": [{"smsId": "5", "smsId": "6", "status": "SENT"}, {"smsId": "7", "status": "SENT"}]}'
    assert read_and_count(body, ["5", "6", "7"]) == ([MessageStatus("7", Status.SENT)], 1)


@pytest.mark.parametrize("good", [0, 5, 10**21, "5", "a7d76677f699", "9" * 64])
def test_ids_that_travel(good: str | int) -> None:
    """An id is text or a whole number, and travels as text."""
    assert statuses.checked(good) == str(good)


@pytest.mark.parametrize(
    "bad", [1.0, True, None, "", " 5", "5\n", "-5", -5, "9" * 65, "я", "５", b"5", ["5"], Decimal(5)]
)
def test_ids_that_do_not(bad: Any) -> None:
    """Floats, booleans, nothing, signs, blanks and other scripts' digits are InvalidQuery before any request."""
    with pytest.raises(InvalidQuery) as raised:
        statuses.checked(bad)
    assert raised.value.problems[0].ref == "ids"


def test_call() -> None:
    """The call posts a bare array of texts, every id once, and may be repeated."""
    call = statuses.call(["5", "6", "5"])
    assert call.body is not None
    assert json.loads(b"".join(call.body)) == ["5", "6"]
    assert (call.method, call.path, call.repeatable) == ("POST", "/sms-stat/statuses/get-by-ids", True)
    assert statuses.MAX_IDS == 500
