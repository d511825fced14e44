"""Template: rows become messages, and what cannot is told without a cell."""

import copy
import pickle
import sqlite3
import traceback
from collections import OrderedDict, UserDict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import devino_async
from devino_async import ConfigurationError, InvalidMessage, Message, Priority, Template
from devino_async.protocol.placeholders import has_no_value

TO = "79000000001"
PACKAGE = Path(devino_async.__file__).parent


def template(text: str = "Привет, {Имя}!", **changed: Any) -> Template:
    return Template(**{"sender": "MyCompany", "text": text, **changed})


def problems(made: Any, *args: Any) -> list[tuple[str, str | None]]:
    with pytest.raises(InvalidMessage) as raised:
        made(*args)
    assert raised.value.__context__ is None
    return [(each.key, each.ref) for each in raised.value.problems]


def test_a_row_makes_a_message() -> None:
    """The values of a row stand where the placeholders were, and braces in them stay braces."""
    made = template("{{ {Имя} и {имя}: {n:>3}% {{до}} {day:%d.%m|завтра} }}")
    assert made.fields == ("Имя", "n", "day")
    row = {"to": f"+{TO}", "имя": "{n} %s %%", "n": 5}
    assert made.message(row) == Message(sender="MyCompany", to=TO, text="{ {n} %s %% и {n} %s %%:   5% {до} завтра }")


def test_a_text_without_placeholders() -> None:
    """A text that is the same for all needs no fields. Its doubled braces are braces, and its percents percents."""
    made = template("100 % {{}} %s")
    assert made.fields == ()
    assert made.message({"to": TO}).text == "100 % {} %s"
    assert [each.text for each in made.fill([{"to": TO}])] == ["100 % {} %s"]


@given(st.text().filter(lambda value: not has_no_value(value)), st.text())
def test_values_are_only_inserted(value: str, around: str) -> None:
    """Any value comes out as it is, whatever it looks like. What Message refuses is refused."""
    literal = around.replace("{", "{{").replace("}", "}}")
    try:
        expected = Message(sender="MyCompany", to=TO, text=f"{around}{value}{around}")
    except InvalidMessage:
        return
    assert template(f"{literal}{{x}}{literal}").message({"to": TO, "x": value}) == expected


def test_names_of_rows() -> None:
    """Names match without regard to case and spaces. The very name goes first, and of others there may be only one."""
    made = template("{Имя}")
    assert made.message({"To": TO, " имя ": "a"}).text == "a"
    assert made.message({"to": TO, "имя": "a", "Имя": "b", "ИМЯ": "c"}).text == "b"
    assert ("invalid", "row") in problems(made.message, {"to": TO, "имя": "a", "ИМЯ": "b"})
    assert made.message({"to": TO, "TO": "79000000002", "Имя": "a", None: ["x"], 7: "x"}).to == TO  # type: ignore[dict-item]


def test_a_row_has_fields_of_its_own() -> None:
    """A row's own fields take the place of the template's, unless they are empty. A text is taken as it is."""
    moment = datetime(2026, 11, 28, tzinfo=UTC)
    made = template(validity=60, priority="LOW", options={"a": "b"}, callback_url="https://example.com/a")
    row = {
        "to": TO,
        "text": "{Имя}",
        "Sender": "Other",
        "validity": timedelta(minutes=2),
        "scheduled_time": moment,
        "priority": "HIGH",
        "callback_url": "https://example.com/b",
        "options": {"c": "d"},
    }
    assert made.message(row) == Message(
        sender="Other",
        to=TO,
        text="{Имя}",
        validity=120,
        scheduled_time=moment,
        priority=Priority.HIGH,
        callback_url="https://example.com/b",
        options={"c": "d"},
    )
    empty = dict.fromkeys(row, None) | {"to": TO, "text": " ", "Sender": "", "Имя": "Анна"}
    assert made.message(empty) == Message(
        sender="MyCompany",
        to=TO,
        text="Привет, Анна!",
        validity=60,
        priority=Priority.LOW,
        options={"a": "b"},
        callback_url="https://example.com/a",
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"to": TO}, [("text.placeholder.empty", "text")]),
        ({"to": TO, "Имя": None}, [("text.placeholder.empty", "text")]),
        ({"to": TO, "Имя": " "}, [("text.placeholder.empty", "text")]),
        ({"to": TO, "Имя": b"sesame"}, [("text.placeholder.invalid", "text")]),
        ({"Имя": "sesame"}, [("to.format.invalid", "to")]),
        ({"to": 79000000001, "Имя": "sesame"}, [("to.format.invalid", "to")]),
        ({"to": "sesame", "Имя": ""}, [("text.placeholder.empty", "text"), ("to.format.invalid", "to")]),
        ({"to": TO, "Имя": "sesame\ud800"}, [("invalid", "text")]),
        ({"to": TO, "Имя": "sesame" * 6_000}, [("text.length.too.long", "text")]),
        ({"to": TO, "Имя": "sesame", "validity": "sesame"}, [("validity.is.invalid", "validity")]),
        ({"to": TO, "text": b"sesame"}, [("invalid", "text")]),
        ("sesame", [("invalid", "row")]),
        (None, [("invalid", "row")]),
        ([("to", TO), ("Имя", "sesame")], [("invalid", "row")]),
    ],
)
def test_bad_rows(row: Any, expected: list[tuple[str, str | None]]) -> None:
    """A row that cannot be a message raises InvalidMessage with everything that is wrong."""
    assert problems(template().message, row) == expected


def test_rows_of_other_kinds() -> None:
    """Any mapping is a row, and a record of a database driver too."""
    plain = {"to": TO, "Имя": "Анна"}
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    [record] = database.execute(f"SELECT '{TO}' AS 'to', 'Анна' AS 'Имя'").fetchall()
    database.close()
    rows: list[Any] = [plain, OrderedDict(plain), UserDict(plain), record]
    assert len({template().message(row) for row in rows}) == 1
    assert len(set(template().fill(rows))) == 1


class Broken(UserDict[str, str]):
    def __getitem__(self, name: str) -> str:
        raise KeyError("sesame")


def test_a_row_that_cannot_be_read() -> None:
    """A mapping that raises is a row that cannot be a message. What it raised may hold values."""
    assert problems(template().message, Broken({"to": TO})) == [("invalid", "row")]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"text": "{"}, [("text.placeholder.invalid", "text")]),
        ({"text": ""}, [("must.be.not.null", "text")]),
        ({"text": None}, [("invalid", "text")]),
        ({"text": "я" * 17_086 + "{a}"}, [("text.length.too.long", "text")]),
        ({"text": "{a}\ud800"}, [("invalid", "text")]),
        ({"sender": "", "text": "}"}, [("text.placeholder.invalid", "text"), ("not.available", "from")]),
        ({"validity": -1}, [("validity.is.invalid", "validity")]),
        ({"callback_url": "https://example.com/{id}"}, [("callbackUrl.format.invalid", "callbackUrl")]),
    ],
)
def test_templates_that_make_no_message(changed: dict[str, Any], expected: list[tuple[str, str | None]]) -> None:
    """A template that no row could make a message of raises InvalidMessage when it is made, with all problems."""
    with pytest.raises(InvalidMessage) as raised:
        template(**changed)
    assert [(each.key, each.ref) for each in raised.value.problems] == expected


def test_frozen() -> None:
    """A template cannot be changed."""
    made = template()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        made.text = "x"  # type: ignore[misc]


def test_copies_and_pickles() -> None:
    """Copies and pickles equal the template and work as it does. Templates of other texts or fields are others."""
    made = template("{a} {b:>4}", options={"a": "b"}, validity=60)
    made.message({"to": TO, "a": "x", "b": "y"})
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other == made
        assert hash(other) == hash(made)
        assert other.message({"to": TO, "a": "x", "b": "y"}) == made.message({"to": TO, "a": "x", "b": "y"})
    assert made != template("{a} {b:>5}", options={"a": "b"}, validity=60)
    assert made != template("{a} {b:>4}", options={"a": "c"}, validity=60)


def test_repr_hides_the_text() -> None:
    """The repr of a template, and of what it is filled with, shows neither its text nor a cell."""
    made = template("sesame {a}")
    for shown in (repr(made), repr(made.fill([{"to": TO, "a": "sesame"}])), repr(made.form)):
        assert "sesame" not in shown
        assert TO not in shown


def locals_of(error: BaseException) -> str:
    """What an error tracker records of the SDK's own frames."""
    recorded = traceback.TracebackException.from_exception(error, capture_locals=True)
    return str([each.locals for each in recorded.stack if Path(each.filename).is_relative_to(PACKAGE)])


def test_errors_hold_nothing_personal() -> None:
    """Neither an error nor the locals of its frames show a text, a number or a cell."""
    row: dict[str, Any] = {"to": TO, "Имя": "sesame", "x": None, "validity": "sesame"}
    made = template("sesame {Имя} {x}")

    def failing(position: int, row: Any, error: InvalidMessage) -> None:
        raise error

    for work in (
        lambda: template("sesame {a.b}", callback_url="sesame"),
        lambda: made.message(row),
        lambda: made.message(Broken(row)),
        lambda: [*made.fill([row])],
        lambda: [*made.fill([row], failing)],
    ):
        with pytest.raises(InvalidMessage) as raised:
            work()
        for shown in (repr(raised.value), locals_of(raised.value)):
            assert "sesame" not in shown
            assert TO not in shown


def test_positions() -> None:
    """An invalid row is told by its position among all rows, from 0, to `on_invalid` or by the error that ends it."""
    rows: list[dict[str, Any]] = [{"to": TO, "Имя": name} for name in ("a", "", "b", "", "c")]
    told: list[tuple[int, Any, Any]] = []
    filled = template().fill(rows, lambda *args: told.append(args))
    assert [each.text[-2] for each in filled] == ["a", "b", "c"]
    assert [(position, row, error.position) for position, row, error in told] == [(1, rows[1], 1), (3, rows[3], 3)]
    given_: list[Message] = []
    with pytest.raises(InvalidMessage) as raised:
        for each in template().fill(rows):
            given_.append(each)  # noqa: PERF402
    assert len(given_) == 1
    assert raised.value.position == pickle.loads(pickle.dumps(raised.value)).position == 1
    assert raised.value.__notes__ == ["in row 1, counted from 0"]


def test_what_fill_refuses() -> None:
    """A hook that cannot be called in a stream is a mistake of the program, found before a row is read."""

    async def hook(position: int, row: Any, error: InvalidMessage) -> None: ...

    for bad in (hook, "print"):
        with pytest.raises(ConfigurationError, match="on_invalid"):
            template().fill([], bad)  # type: ignore[arg-type]
