"""Filling: a run of rows that is checked as a whole gives what its rows give one by one."""

import gc
import pickle
from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import Accepted, InvalidMessage, Message, Template
from devino_async.campaigns.fingerprints import Fingerprints
from devino_async.flow.steps import at_once
from devino_async.protocol.filling import FilledRun, RowRuns
from devino_async.protocol.packing import Packed
from devino_async.protocol.receipts import Receipts
from devino_async.protocol.sending import encode

TEXTS = [
    "Привет, {Имя}!",
    'Line\n"{Имя}" 100% {{}} \\ {n:>4} {n}',
    "{Имя|клиент}: {day:%d.%m|скоро}",
    "{Имя}",
    "{Имя|}",
    "{Имя|}{n|}",
    "the same for all, 100 %",
]
TEMPLATES = st.builds(
    Template,
    sender=st.sampled_from(["MyCompany", 'My "Company" 100%s']),
    text=st.sampled_from(TEXTS),
    validity=st.sampled_from([None, None, 60]),
    callback_url=st.sampled_from([None, None, "https://example.com/%73"]),
    options=st.sampled_from([None, None, {"a%s": 'b"'}]),
)
good_numbers = st.sampled_from(["79000000001", "+79000000002", "7900000", "790000000000003"])
bad_numbers = st.sampled_from(["", "0790000000", "790000", "7900000000000004", "7900000000x", "7+9000000", None, 7])
usual = st.fixed_dictionaries(
    {"to": good_numbers, "Имя": st.text(min_size=1, max_size=8), "n": st.integers() | st.text("ab1"), "day": st.dates()}
)
alike = st.fixed_dictionaries({"to": good_numbers, "Имя": st.sampled_from(["Анна", 'Q"', "{n}", "%s", "😀"])})
odd = st.fixed_dictionaries(
    {"to": good_numbers | bad_numbers},
    optional={
        "имя": st.sampled_from(["Анна", " ", "\ud800", "x" * 9_000, "я" * 20_000, b"x", 1.0]),
        "n": st.none() | st.integers(),
        "text": st.none() | st.just("own {n}"),
        "validity": st.none() | st.sampled_from([5, -5]),
        "day": st.sampled_from(["2026-11-28", "x"]),
    },
)
rows_of_a_kind = (
    st.lists(usual, max_size=6) | st.lists(alike, max_size=6) | st.lists(odd, max_size=4) | st.just([{}, 7])
)
many_rows = st.lists(rows_of_a_kind, max_size=4)


def single(template: Template, rows: list[Any]) -> list[Message | InvalidMessage]:
    found: list[Message | InvalidMessage] = []
    for row in rows:
        try:
            found.append(template.message(row))
        except InvalidMessage as error:
            found.append(error)
    return found


ODD_CELLS = {
    "to": [
        *["", "0790000000", "790000", "7900000000000004", "7900000000x", "٧٩٠٠٠٠٠٠٠٠٠", "7+9000000", "+79000000003"],
        *["++79000000003", " 79000000003", "79000000003\n", "7900000,790000", None, 79000000003, ["79000000003"]],
    ],
    "a": [
        "",
        " ",
        None,
        "\ud800",
        "😀",
        "\ud83d",
        '"',
        "\\",
        "\n",
        "\x00",
        "\x7f",
        "\u2028",
        "%s",
        "%",
        "{b}",
        b"x",
        True,
        1.0,
    ],
    "b": ["x" * 9_000, "я" * 9_000, "я" * 17_100, "x" * 34_200, "\ude00", float("nan"), "a,b"],
}
ODD_ROWS: list[Any] = [
    {**row, **changed}
    for row in [{"to": "79000000001", "a": "x", "b": "y"}]
    for changed in [
        *({key: value} for key, values in ODD_CELLS.items() for value in values),
        *({"validity": value} for value in (None, "", 60, -1)),
        *({"text": value} for value in (None, " ", "own {a}", 7)),
        {"c": "unused"},
        {"A": "z"},
    ]
]
ODD_ROWS += [{"to": "79000000001", "A": "x", "B": "y"}, {"a": "x", "b": "y"}, {"to": "79000000001", "a": "x"}, {}, 7]
ODD_ROWS += [{"b": "y", "a": "x", "to": "79000000001"}, OrderedDict(to="79000000001", a="x", b="y")]


@pytest.mark.parametrize("text", ["{a} and {b}", "{a:>3}{b}", "{a|}{b|}", "{a|none}", "{b}", "the same"])
@pytest.mark.parametrize("places", [[0], [1], [2], [0, 1, 2]])
def test_odd_rows_in_a_run(places: list[int], text: str) -> None:
    """Odd cells among good rows, or in all rows of a run, are judged as they are where their row stands alone."""
    template = Template(sender="MyCompany", text=text)
    for odd_row in ODD_ROWS:
        rows: list[Any] = [{"to": f"7900{number:07}", "a": f"a{number}", "b": "b"} for number in range(3)]
        for place in places:
            rows[place] = odd_row
        told: list[tuple[int, InvalidMessage]] = []
        made = RowRuns(template.fill([], lambda at, _, error, told=told: told.append((at, error))))  # type: ignore[misc]
        run, _ = made.make(rows)
        expected = single(template, rows)
        good = [each for each in expected if isinstance(each, Message)]
        assert list(run.items) == good
        assert run.joined == ",".join(encode(good)).encode()
        assert list(run.each()) == [each.encode() for each in encode(good)]
        bad = [(at, each.problems) for at, each in enumerate(expected) if isinstance(each, InvalidMessage)]
        assert [(at, error.problems) for at, error in told] == bad
        # The next run counts on.
        made.make([{}])
        assert told[-1][0] == 3


@given(TEMPLATES, many_rows)
def test_runs_are_what_their_rows_are(template: Template, runs: list[list[Any]]) -> None:
    """For any template and rows: the same messages, JSON, fields, fingerprints and problems as one by one."""
    told: list[tuple[int, Any, InvalidMessage]] = []
    made = RowRuns(template.fill([], lambda *args: told.append(args)))
    packed, messages, position = Packed(), [], 0
    for rows in runs:
        run, failure = made.make(rows)
        assert failure is None
        expected = single(template, rows)
        good = [each for each in expected if isinstance(each, Message)]
        assert list(run.items) == good
        assert run.joined == ",".join(encode(good)).encode()
        assert list(run.each()) == [each.encode() for each in encode(good)]
        bad = [
            (position + at, rows[at], each.problems)
            for at, each in enumerate(expected)
            if isinstance(each, InvalidMessage)
        ]
        assert [(at, row, error.problems) for at, row, error in told] == bad
        assert [error.position for _, _, error in told] == [at for at, _, _ in bad]
        told.clear()
        position += len(rows)
        packed.extend(run.items)  # type: ignore[arg-type]
        messages += good
    assert list(packed) == messages
    prints = Fingerprints(b"secret")
    assert at_once(prints.of_all(packed)) == b"".join(map(prints.of, messages)) == at_once(prints.of_all(messages))


@given(TEMPLATES, many_rows)
def test_a_run_ends_before_its_first_bad_row(template: Template, runs: list[list[Any]]) -> None:
    """Without `on_invalid` a run holds the messages before the first bad row, and the error of that row."""
    made = RowRuns(template.fill([]))
    position = 0
    for rows in runs:
        run, failure = made.make(rows)
        expected = single(template, rows)
        first = next((at for at, each in enumerate(expected) if isinstance(each, InvalidMessage)), len(rows))
        assert list(run.items) == expected[:first]
        assert run.joined == ",".join(encode(expected[:first])).encode()  # type: ignore[arg-type]
        if first < len(rows):
            assert isinstance(failure, InvalidMessage)
            assert (failure.position, failure.problems) == (position + first, expected[first].problems)  # type: ignore[union-attr]
            return
        assert failure is None
        position += len(rows)


def test_a_hook_that_raises() -> None:
    """What `on_invalid` raises ends the run like the bad row itself, after the messages before it."""
    template = Template(sender="MyCompany", text="{a}")

    def hook(position: int, row: Any, error: InvalidMessage) -> None:
        raise ZeroDivisionError

    rows = [{"to": "79000000001", "a": value} for value in ("x", "", "y")]
    run, failure = RowRuns(template.fill([], hook)).make(rows)
    assert [each.text for each in run.items] == ["x"]
    assert isinstance(failure, ZeroDivisionError)


ROWS = [{"to": f"7900{number:07}", "a": f"{number}"} for number in range(300)]
TEMPLATE = Template(sender="MyCompany", text="Код {a}", validity=60)


def filled_run(rows: list[dict[str, str]]) -> FilledRun:
    run, _ = RowRuns(TEMPLATE.fill([])).make(rows)
    assert isinstance(run.items, FilledRun)
    return run.items


@given(st.data())
def test_filled_runs_are_sequences(data: Any) -> None:
    """A run that is not made yet has the items and slices of the list of its messages, alone and packed."""
    expected = [TEMPLATE.message(row) for row in ROWS[:20]]
    packed = Packed()
    packed.extend(filled_run(ROWS[:7]))
    packed.extend([TEMPLATE.message(row) for row in ROWS[7:9]])
    packed.extend(filled_run(ROWS[9:20]))
    start, stop = data.draw(st.integers(-22, 22)), data.draw(st.integers(-22, 22))
    for made in (packed, filled_run(ROWS[:20])):
        assert list(made[start:stop]) == expected[start:stop]
        assert list(made[start:stop][1:3]) == expected[start:stop][1:3]
        if -20 <= start < 20:
            assert made[start] == expected[start]
    with pytest.raises(IndexError):
        filled_run(ROWS[:20])[20]


def test_filled_runs_are_joined() -> None:
    """Packed runs of one template become one run, which is fewer objects. Runs of others stay apart."""
    template = Template(sender="MyCompany", text="{a} {a|x} {to}")
    packed, expected = Packed(), []
    for each, rows in ((template, ROWS[:5]), (template, ROWS[5:9]), (TEMPLATE, ROWS[9:12]), (TEMPLATE, ROWS[12:15])):
        run, _ = RowRuns(each.fill([])).make(rows)
        packed.extend(run.items)  # type: ignore[arg-type]
        expected += [each.message(row) for row in rows]
    packed.extend([template.message(ROWS[15])])
    packed.extend(filled_run(ROWS[16:20]))
    expected += [template.message(ROWS[15]), *(TEMPLATE.message(row) for row in ROWS[16:20])]
    assert list(packed) == expected
    assert [len(each) for each in packed.runs()] == [9, 6, 1, 4]


def receipts_of(rows: list[dict[str, str]]) -> list[Accepted]:
    packed = Packed()
    packed.extend(filled_run(rows[:64]))
    packed.extend([TEMPLATE.message(row) for row in rows[64:70]])
    packed.extend(filled_run(rows[70:]))
    receipts = Receipts()
    receipts.accepted(packed, [str(number) for number in range(len(rows))], ['"1","2"'] * len(rows))
    return [each for some in receipts.take() for each in some if isinstance(each, Accepted)]


def test_the_message_of_a_receipt() -> None:
    """The message of a receipt is made once, when it is asked for, and equals the message of its row."""
    receipts = receipts_of(ROWS)
    assert [each.message_id for each in receipts] == [str(number) for number in range(300)]
    assert {each.segment_ids for each in receipts} == {("1", "2")}
    for receipt, row in zip(receipts, ROWS, strict=True):
        assert receipt.message == TEMPLATE.message(row)
        assert receipt.message is receipt.message
    with pytest.raises(AttributeError, match="massage"):
        receipts[0].massage  # type: ignore[attr-defined]  # noqa: B018


def test_receipts_are_like_any() -> None:
    """Before and after its message is made, a receipt equals, hashes, shows, matches and pickles like any other."""
    expected = [Accepted(TEMPLATE.message(row), str(number), ("1", "2")) for number, row in enumerate(ROWS[:80])]
    for act in (
        lambda each: each,
        hash,
        repr,
        lambda each: pickle.loads(pickle.dumps(each)),
        lambda each: each.raise_for_outcome(),
    ):
        assert [act(each) for each in receipts_of(ROWS[:80])] == [act(each) for each in expected]
    assert "Код" not in repr(receipts_of(ROWS[:80]))
    match receipts_of(ROWS[:80])[1]:
        case Accepted(message, "1", ("1", "2")):
            assert message == expected[1].message
        case _:
            raise AssertionError
    with pytest.raises(AttributeError):
        receipts_of(ROWS)[0].message = expected[0].message  # type: ignore[misc]


def test_nothing_is_made_unasked() -> None:
    """As long as no message is asked for, there is none for the garbage collector to look through."""

    def known() -> int:
        gc.collect()
        return sum(type(each) is Message for each in gc.get_objects())

    rows = [*ROWS[:64], *ROWS[70:]]
    before = known()
    packed = Packed()
    packed.extend(filled_run(rows[:64]))
    packed.extend(filled_run(rows[64:]))
    receipts = Receipts()
    receipts.accepted(packed, [str(number) for number in range(len(rows))])
    taken = [each for some in receipts.take() for each in some]
    assert known() == before
    assert len({each.message for each in taken}) == len(rows)
