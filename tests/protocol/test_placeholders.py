"""Placeholders: which braces mean what, and how a value is shown."""

import unicodedata
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import Reason
from devino_async.protocol.placeholders import Placeholder, has_no_value, matching_name, parse

HUGE = 10**5_000


class Size(StrEnum):
    BIG = "big"


def parsed(text: str) -> list[str | Placeholder]:
    pieces, problems = parse(text)
    assert not problems
    return pieces


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{name}", Placeholder("name")),
        ("{ Имя }", Placeholder("Имя")),
        ("{Дата и время}", Placeholder("Дата и время")),
        ("{Тел. моб}", Placeholder("Тел. моб")),
        ("{Скидка [%]}", Placeholder("Скидка [%]")),
        ("{Цена, руб. (без НДС)!}", Placeholder("Цена, руб. (без НДС)!")),
        ("{0}", Placeholder("0")),
        ("{name|клиент}", Placeholder("name", "", "клиент")),
        ("{name|}", Placeholder("name", "", "")),
        ("{name| a:b|c }", Placeholder("name", "", " a:b|c ")),
        ("{name:>10}", Placeholder("name", ">10")),
        ("{name:10}", Placeholder("name", "10")),
        ("{code:0>6}", Placeholder("code", "0>6")),
        ("{name:ё^999|нет}", Placeholder("name", "ё^999", "нет")),
        ("{day:%d.%m.%Y}", Placeholder("day", "%d.%m.%Y")),
        ("{day:%H:%M|скоро}", Placeholder("day", "%H:%M", "скоро")),
        ("{day:100%%}", Placeholder("day", "100%%")),
    ],
)
def test_what_may_stand_between_braces(text: str, expected: Placeholder) -> None:
    """A name as a column of a spreadsheet has it, then a width or the form of a date, then a default."""
    assert parsed(text) == ["", expected, ""]


@pytest.mark.parametrize(
    ("text", "character", "word"),
    [
        ("Hi {name", 4, "never closed"),
        ("Hi {", 4, "never closed"),
        ("Hi }", 4, "no brace was opened before this one"),
        ("{a}}", 4, "no brace was opened before this one"),
        ("{{{a}", 0, ""),
        ("{a{b}}", 1, "opened again"),
        ("{}", 1, "no name"),
        ("12{ \t}", 3, "no name"),
        ("{|x}", 1, "no name"),
        ("{:>5}", 1, "no name"),
        ("{a.b}", 1, "only a name"),
        ("{a.b.__class__}", 1, "only a name"),
        ("{a[0]}", 1, "only a name"),
        ("{цена[руб]}", 1, "only a name"),
        ("{a!r}", 1, "only a name"),
        ("{a !s:>5}", 1, "only a name"),
        ("{text}", 1, "own text"),
        ("{ TEXT |x}", 1, "own text"),
        ("{a:}", 1, "after a colon"),
        ("{a:05}", 1, "after a colon"),
        ("{a:.2f}", 1, "after a colon"),
        ("{a:1000}", 1, "after a colon"),
        ("{a:,}", 1, "after a colon"),
        ("{Цена: руб}", 1, "after a colon"),
        ("{a:%B}", 1, "after a colon"),
        ("{a:%d %A}", 1, "after a colon"),
        ("{a:%}", 1, "after a colon"),
        ("{a:%-d}", 1, "after a colon"),
    ],
)
def test_what_may_not(text: str, character: int, word: str) -> None:
    """Whatever else stands between braces, and every brace alone, is a problem that names its place, from 1."""
    _, problems = parse(text)
    if not word:
        assert not problems
        return
    assert (problems[0].key, problems[0].ref) == ("text.placeholder.invalid", "text")
    said = problems[0].default_message or ""
    assert said.startswith(f"at character {character}: ")
    assert word in said


def test_only_the_first_problems() -> None:
    """A text of thousands of lone braces gets a short list."""
    assert len(parse("} " * 10_000)[1]) == 5


@given(st.text(), st.text("{}ab |:"))
def test_doubled_braces_are_braces(some: str, others: str) -> None:
    """Any text with its braces doubled is itself."""
    text = some + others
    assert parsed(text.replace("{", "{{").replace("}", "}}")) == [text]


@given(st.lists(st.tuples(st.text("аб{}\n"), st.sampled_from(["имя", "a b", "%"])), max_size=5), st.text("аб{}"))
def test_pieces_in_turn(pairs: list[tuple[str, str]], last: str) -> None:
    """The pieces are literal text and placeholders in turn, whatever stands between them."""
    text = "".join(before.replace("{", "{{").replace("}", "}}") + "{" + name + "}" for before, name in pairs)
    pieces = parsed(text + last.replace("{", "{{").replace("}", "}}"))
    assert pieces == [*(each for before, name in pairs for each in (before, Placeholder(name))), last]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Анна", "Анна"),
        (" {x} %s \\ ", " {x} %s \\ "),
        (Size.BIG, "big"),
        (7, "7"),
        (-0.5, "-0.5"),
        (10.0, "10"),
        (79001234567.0, "79001234567"),
        (2.0**60, "1.152921504606847e+18"),
        (Decimal("1500.00"), "1500.00"),
        (Decimal("1E+3"), "1000"),
        (Fraction(1, 2), "1/2"),
        (date(2026, 11, 28), "2026-11-28"),
        (datetime(2026, 11, 28, 9, 30, tzinfo=UTC), "2026-11-28 09:30:00+00:00"),
        (time(9, 30), "09:30:00"),
    ],
)
def test_values(value: object, shown: str) -> None:
    """Texts are shown as they are, whole floats without .0, decimals as they are written, dates in ISO form."""
    found = Placeholder("x").shown(value)
    assert type(found) is str
    assert found == shown


@pytest.mark.parametrize(
    "value",
    [True, b"sesame", ["sesame"], {"a": "sesame"}, object(), 1j, float("inf"), HUGE],
    ids=lambda value: type(value).__name__,
)
def test_values_that_nobody_reads(value: object) -> None:
    """What is no text, number or date is a problem that names the placeholder and the kind, and not the value."""
    found = Placeholder("Имя").shown(value)
    assert isinstance(found, Reason)
    assert (found.key, found.ref) == ("text.placeholder.invalid", "text")
    assert "{Имя}" in str(found.default_message)
    assert type(value).__name__ in str(found.default_message)
    assert "sesame" not in repr(found)


@pytest.mark.parametrize("value", [None, "", " \t\u00a0\n", float("nan")])
def test_no_value(value: object) -> None:
    """None, an empty or blank text and a missing number give way to the default, or are a problem of their own key."""
    assert has_no_value(value)
    assert Placeholder("Имя", "", "клиент").shown(value) == "клиент"
    assert Placeholder("Имя", "", "").shown(value) == ""
    assert Placeholder("Имя", ">8", "клиент").shown(value) == "  клиент"
    assert Placeholder("день", "%d", "скоро").shown(value) == "скоро"
    found = Placeholder("Имя").shown(value)
    assert isinstance(found, Reason)
    assert (found.key, found.ref) == ("text.placeholder.empty", "text")
    assert "{Имя}" in str(found.default_message)


@pytest.mark.parametrize("value", [0, 0.0, Decimal(0), "0"])
def test_nought_is_a_value(value: object) -> None:
    """Nought is no empty cell."""
    assert Placeholder("x", "", "default").shown(value) == "0"


def test_widths() -> None:
    """A width pads and never cuts. Numbers and texts stand to the left unless the format says otherwise."""
    assert Placeholder("x", ">5").shown("ab") == "   ab"
    assert Placeholder("x", "5").shown(7) == "7    "
    assert Placeholder("x", "0>4").shown(7) == "0007"
    assert Placeholder("x", "^4").shown("ab") == " ab "
    assert Placeholder("x", ">2").shown("abc") == "abc"


@pytest.mark.parametrize(
    "value",
    [
        date(2026, 1, 2),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "2026-01-02",
        " 2026-01-02T03:04:05 ",
        "2026-01-02 03:04:05",
        "02.01.2026",
        "2.1.2026 03:04",
    ],
)
def test_dates(value: object) -> None:
    """A date, or a text that is one in ISO form or as Russian spreadsheets write it, is shown as the format says."""
    assert Placeholder("x", "%d.%m.%Y (%y)").shown(value) == "02.01.2026 (26)"
    hours = Placeholder("x", "%H:%M:%S 100%%").shown(value)
    assert hours in {"00:00:00 100%", "03:04:05 100%", "03:04:00 100%"}


@pytest.mark.parametrize("value", ["sesame", "31.02.2026", "2026-13-01", "01/02/2026", 7, time(9, 30), "1.1.26"])
def test_no_dates(value: object) -> None:
    """What cannot be read as a date without doubt is a problem, which does not show it."""
    found = Placeholder("x", "%d").shown(value)
    assert isinstance(found, Reason)
    assert found.key == "text.placeholder.invalid"
    assert "sesame" not in repr(found)


@pytest.mark.parametrize("name", ["Имя", "имя", "ИМЯ", " имя ", unicodedata.normalize("NFD", "Имя")])
def test_names_alike(name: str) -> None:
    """Case, spaces around and the way in which letters are composed make no other name."""
    assert matching_name(name) == matching_name("Имя")
    assert matching_name(f"{name}  \u00a0клиента") == matching_name("имя клиента")
    assert matching_name("Йод") == matching_name(unicodedata.normalize("NFD", "йод"))


def test_a_long_name_in_an_error() -> None:
    """An error shows the beginning of a name, and no phone number that stands there instead."""
    shown: Any = Placeholder("н" * 1_000).shown(None)
    assert len(shown.default_message) < 200
    shown = Placeholder("79001234567").shown(None)
    assert "79001234567" not in shown.default_message
