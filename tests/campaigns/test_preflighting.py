"""Preflight: every count of a file, against counting by hand and against what a sandbox holds after sending."""

import random
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from types import FrameType
from typing import Literal

import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from devino_async import ConfigurationError, DevinoClient, Message, segments
from devino_async.campaigns import Preflight, PreflightPass, Row, SenderTemplates, preflight, read_messages
from devino_async.campaigns.preflight_results import Repeat
from devino_async.campaigns.recipients import Recipients
from devino_async.sandbox import Sandbox
from devino_async.sandbox.account import PRICE

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ORDER = "Your order’s ready – pick it up today between 10 and 18 at our store. Bring this SMS with you"


@frozen
class LeftOut:
    """A row that a stop list or --unique leaves out."""

    line: int
    left_out: Literal["excluded", "repeated"]
    held: Message | None = None
    message: Message | None = None
    problem: str | None = None


def message(number: int = 1, text: str = "Hello", scheduled_time: datetime | None = None) -> Message:
    return Message(sender="Shop", to=f"7900{number:07}", text=text, scheduled_time=scheduled_time)


def rows(*messages: Message | str) -> Iterator[Row]:
    """Rows from line 2 on: a message each, or the problem of one."""
    for line, each in enumerate(messages, 2):
        yield Row(line, problem=each) if isinstance(each, str) else Row(line, each)


def test_counts() -> None:
    """Rows are valid, invalid or excluded. Repeated rows are valid, and go out unless they are left out."""
    past = message(5, scheduled_time=NOW - timedelta(minutes=2))
    given = [
        *rows(message(1), message(2), message(1), "bad", past, message(3, scheduled_time=NOW)),
        LeftOut(8, "excluded"),
        LeftOut(9, "repeated", message(2)),
    ]
    found = preflight(given, now=NOW)
    assert (found.rows, found.valid, found.invalid, found.excluded) == (8, 5, 2, 1)
    assert (found.recipients, found.repeated, found.scheduled_in_the_past) == (3, 2, 1)
    assert found.repeats == (Repeat(line=4, first_line=2), Repeat(line=9, first_line=3))
    assert (found.segments, found.segments_max, found.alphabets) == (4, 4, {"GSM-7": 4, "UCS-2": 0})
    assert [each.to for each in found.samples] == ["79000000001", "79000000002", "79000000001"]
    assert (found.cost, found.cost_max, found.unmatched) == (None, None, None)


def test_no_rows() -> None:
    """Without rows every count is zero."""
    found = preflight([], price=1)
    assert (found.rows, found.segments, found.cost, found.culprits, found.samples) == (0, 0, 0, (), ())


def test_segments() -> None:
    """Segments are counted by alphabet and by size, and as a range where gateways count differently."""
    found = preflight(
        rows(*(message(n, text) for n, text in enumerate(["a" * 150, "я" * 71, "a" * 500, "я", "€" * 71])))
    )
    assert (found.segments, found.segments_max) == (1 + 2 + 4 + 1 + 1, 2 + 2 + 4 + 1 + 2)
    assert found.alphabets == {"GSM-7": 3, "UCS-2": 2}
    assert found.segments_by_alphabet == {"GSM-7": 6, "UCS-2": 3}
    assert found.sizes == {1: 3, 2: 1, 4: 1}


def test_culprits() -> None:
    """Culprits come with their rows, lines and extra segments, the dearest first. Russian texts have none."""
    found = preflight(
        rows(message(1, ORDER), message(2, "It’s on"), message(3, ORDER), message(4, "Ваш заказ — «готов»" * 9)
             , message(5, "frоm us " * 10))
    )  # fmt: skip
    assert [(each.character, each.name, each.rows, each.extra_segments, each.lines) for each in found.culprits] == [
        ("’", "RIGHT SINGLE QUOTATION MARK", 3, 2, (2, 3, 4)),
        ("–", "EN DASH", 2, 2, (2, 4)),
        ("о", "CYRILLIC SMALL LETTER O", 1, 1, (6,)),
    ]
    assert [(each.looks_like, each.plainer) for each in found.culprits] == [(None, "'"), (None, "-"), ("o", "o")]


def test_the_dearest_culprit_comes_first() -> None:
    """Culprits are sorted by what they cost, not by how many rows have them."""
    found = preflight(rows(message(1, "It’s on"), message(2, "It’s on"), message(3, "9–12 " + "a" * 80)))
    assert [(each.character, each.rows, each.extra_segments) for each in found.culprits] == [("–", 1, 1), ("’", 2, 0)]


def test_one_text_for_many_is_looked_at_once() -> None:
    """Rows with one text cost little more than its recipient: the text is not counted again for each."""
    looked = 0

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal looked
        looked += event == "call" and frame.f_code is segments.__code__

    same = [*rows(*(message(number, ORDER) for number in range(50)))]
    sys.setprofile(watch)
    try:
        preflight(same)
    finally:
        sys.setprofile(None)
    assert looked <= 3


def test_a_culprit_that_costs_nothing() -> None:
    """An ellipsis is one character of UCS-2 and three of GSM-7, so without it a text may even cost more."""
    [culprit] = preflight(rows(message(1, "…" * 60 + "a"))).culprits
    assert (culprit.rows, culprit.extra_segments) == (1, 0)


@pytest.mark.parametrize("price", [Decimal("4.20"), "4.20", 4.2])
def test_cost(price: Decimal | float | str) -> None:
    """The cost is exact to the kopeck, whatever the kind of number that the price is."""
    found = preflight(rows(message(1, "a" * 150), message(2, "я" * 71)), price=price)
    assert (found.cost, found.cost_max) == (Decimal("12.60"), Decimal("16.80"))


@pytest.mark.parametrize("price", ["free", -1, float("nan"), float("inf"), True, "", "-0.01"])
def test_prices_that_are_none(price: object) -> None:
    """A price that is not a number of at least 0 is refused before anything is read."""
    with pytest.raises(ConfigurationError, match=r"price must be a number of at least 0, such as 4\.20"):
        preflight(iter(()), price=price)


def test_unfilled_placeholders() -> None:
    """Texts in braces that would go out as they are, are counted by rows."""
    found = preflight(rows(message(1, "Hi {Name} {Name}, {Code}"), message(2, "Hi {Name}"), message(3, "{} {a\nb} }{")))
    assert found.unfilled == {"{Name}": 2, "{Code}": 1}


def test_problems() -> None:
    """Invalid rows are told by kind, the most frequent first, each with its first lines."""
    found = preflight(rows("has 3 cells for 4 columns", "bad number", "has 5 cells for 4 columns", message(1)))
    assert [(each.problem, each.rows, each.lines) for each in found.problems] == [
        ("has 3 cells for 4 columns", 2, (2, 4)),
        ("bad number", 1, (3,)),
    ]


def test_sender_templates() -> None:
    """Rows that match none of the sender's templates are counted, with their first lines."""
    templates = SenderTemplates(["Your code: %d{4}"])
    found = preflight(
        rows(message(1, "Your code: 1234"), message(2, "Sale!"), message(3, "Sale!")), templates=templates
    )
    assert (found.unmatched, found.unmatched_lines) == (2, (3, 4))
    with pytest.raises(ConfigurationError, match="templates must be SenderTemplates or None, not list"):
        preflight([], templates=["Your code: %d{4}"])


def test_what_is_kept_is_bounded() -> None:
    """Lines, repeats and kinds are kept up to a limit, whatever the file. The counts are of all rows."""
    strange = (chr(code) for code in range(0x2190, 0x2190 + 1_500))
    found = preflight(
        rows(
            *(message(1, "Text with a symbol " + each) for each in strange),
            *(message(1, f"Hi {{{number}}}") for number in range(1_100)),
            *("problem " + "x" * number for number in range(1_100)),
        )
    )
    assert len(found.culprits) == len(found.unfilled) == 1_000
    assert len(found.problems) == 1_001
    assert (found.problems[0].problem, found.problems[0].rows) == ("other problems", 100)
    assert len(found.repeats) == len(found.problems[0].lines) == 20
    assert (found.invalid, found.repeated) == (1_100, 2_599)


def test_nothing_personal_is_shown() -> None:
    """Neither a text nor a number is in a repr."""
    check = PreflightPass(price=1)
    check.feed(rows(message(1234567, "Secret {Word}"), "bad 79001234567"))
    for shown in (repr(check.result()), repr(check)):
        assert "Secret" not in shown
        assert "Word" not in shown
        assert "1234567" not in shown


texts = st.text("aя€’😀{ ", min_size=1, max_size=170)
made = st.lists(st.tuples(st.integers(0, 9), texts) | st.none(), max_size=40)


@given(made, st.integers(1, 7))
def test_like_counting_by_hand(given_rows: list[tuple[int, str] | None], size: int) -> None:
    """Runs of any size give the same result as all rows at once, which is that of counting row by row."""
    everything = list(rows(*("bad" if each is None else message(*each) for each in given_rows)))
    found = preflight(everything, now=NOW)
    check = PreflightPass(now=NOW)
    for begin in range(0, len(everything), size):
        check.feed(everything[begin : begin + size])
    assert check.result() == found
    valid = [each.message for each in everything if each.message is not None]
    numbers = Counter(each.to for each in valid)
    assert (found.valid, found.recipients, found.repeated) == (len(valid), len(numbers), len(valid) - len(numbers))
    assert found.segments == sum(segments(each.text).count for each in valid)
    assert found.segments_max == sum(segments(each.text, profile="octet").count for each in valid)
    for culprit in found.culprits:
        there = [each for each in valid if culprit.character in {one.character for one in segments(each.text).culprits}]
        assert culprit.rows == len(there)


def test_recipients_are_exact() -> None:
    """The recipients seen are exactly those of a dict, near and far numbers alike."""
    chance = random.Random(5)
    seen = Recipients()
    expected: dict[str, int] = {}
    for line in range(30_000):
        number = str(chance.choice([7_900_000_0000, 1_000_000, 10**15 - 9_000]) + chance.randrange(9_000))
        assert seen.first_line(number, line) == expected.get(number)
        expected.setdefault(number, line)
    assert len(seen) == len(expected)


async def test_what_it_says_is_what_the_sandbox_holds() -> None:
    """Messages, segments and money of a preflight are those of a sandbox after sending the same file."""
    chance = random.Random(17)
    file = ["to,text"]
    for _ in range(400):
        text = (
            "".join(chance.choices("abя€’😀 ", weights=[9, 9, 1, 1, 1, 1, 9], k=chance.randint(1, 400))).strip() or "a"
        )
        file.append(f'{chance.choice(["7900000", "bad"])}{chance.randrange(1_000):04},"{text}"')
    content = "\n".join(file).encode()

    def read() -> Iterator[Row]:
        return read_messages(BytesIO(content), form="csv", sender="Shop")

    found: Preflight = preflight(read(), price=PRICE)
    whole = {"start_date": datetime(2020, 1, 1), "end_date": datetime(2100, 1, 1)}  # noqa: DTZ001
    async with Sandbox() as sandbox, DevinoClient("key", base_url=sandbox.url) as devino:
        before = await devino.account()
        report = await devino.send_all(each.message for each in read() if each.message is not None)
        after = await devino.account()
        held = await devino.statistics(**whole)
    assert len(report.accepted) == report.total == found.valid == found.rows - found.invalid > 100
    assert sum(each.amount for counts in held.segments.values() for each in counts) == found.segments
    assert before.balance - after.balance == found.cost
