"""Rows that become messages: one text for all, repeated numbers, stop lists, and runs that are made all at once."""

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import ConfigurationError
from devino_async.campaigns import Row, StopList, read_messages
from devino_async.campaigns.rows import RowMaker


def rows_of(given: str, **options: Any) -> list[Row]:
    return list(read_messages(io.BytesIO(given.encode()), **{"sender": "A", **options}))


def texts_of(given: str, **options: Any) -> list[str | None]:
    return [row.message.text if row.message else row.problem for row in rows_of(given, **options)]


def outcomes(rows: list[Row]) -> list[str]:
    return [row.left_out or ("invalid" if row.message is None else "message") for row in rows]


def test_a_text_with_placeholders() -> None:
    """Placeholders are filled from the columns of their names, in any case, and braces in a cell stay as they are."""
    given = "Телефон;Имя;Город\n79000000001;Анна;Омск\n79000000002;{Имя};{0}%s\n79000000003;Яна;\n"
    assert texts_of(given, text="{имя}, {{Вас}} ждёт {Город|Москва}: 5%") == [
        "Анна, {Вас} ждёт Омск: 5%",
        "{Имя}, {Вас} ждёт {0}%s: 5%",
        "Яна, {Вас} ждёт Москва: 5%",
    ]


def test_formats() -> None:
    """A placeholder may have a width, or a form for a date."""
    assert texts_of("to,n,day\n79000000001,7,2026-11-28\n", text="{n:>3} {day:%d.%m.%Y}") == ["  7 28.11.2026"]


@pytest.mark.parametrize("cell", ["", " ", "\u00a0"])
def test_an_empty_cell_under_a_placeholder(cell: str) -> None:
    """An empty cell under a placeholder without a default is a problem of its row, and of no other."""
    bad, good = rows_of(f"to,name\n79000000001,{cell}\n79000000002,Anna\n", text="Hi {name}")
    assert "text.placeholder.empty" in str(bad.problem)
    assert bad.message is None
    assert good.message is not None


def test_a_placeholder_that_no_column_fills() -> None:
    """A placeholder without a column is an error of the file, before its first row."""
    with pytest.raises(ConfigurationError, match=r"no column fills \{name\} in the text"):
        rows_of("to\n79000000001\n", text="Hi {name}")
    some = '{"to": "79000000001"}\n{"to": "79000000002", "name": "Anna"}\n'
    assert "text.placeholder.empty" in str(texts_of(some, text="Hi {name}")[0])
    assert texts_of(some, text="Hi {name|you}") == ["Hi you", "Hi Anna"]


@pytest.mark.parametrize(
    ("given", "text", "problem"),
    [
        ('{"to": "79000000001", "name": "Anna"}', "Hi {nmae|you}", r"no column fills \{nmae\}"),
        ('{"too": "79000000001", "name": "Anna"}', "Hi {name}", "no column has the recipients"),
        ('{"to": "79000000001", "name": "Anna"}', None, "no column has the texts"),
        ('{"to": "79000000001", "schedule_time": "2027-01-01"}', "x", "'schedule_time' is not a field"),
        ('{"to": "79000000001", "tel": "79000000001"}', "x", "two columns stand for the field 'to'"),
        ('{"to": "79000000001", "message": "Hi"}', "x", "the column 'message' may be the text"),
    ],
)
@pytest.mark.parametrize("count", [1, 3, 2_000])
def test_names_that_no_object_has(given: str, text: str | None, problem: str, count: int) -> None:
    """What is wrong with the names of all first objects is an error of the file, before its first row."""
    with pytest.raises(ConfigurationError, match=problem):
        rows_of(f"{given}\n" * count, text=text)


def test_names_of_a_pipe() -> None:
    """The first object of a pipe does not stand for all of them, because the next one may come much later."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "wb") as end:
        end.write(b'{"to": "79000000001"}\n{"to": "79000000002", "name": "Anna"}\n')
        end.close()
        rows = list(read_messages(pipe, sender="A", text="Hi {name|you}"))
    assert [row.message.text for row in rows if row.message] == ["Hi you", "Hi Anna"]


def test_a_text_column_is_taken_as_it_is() -> None:
    """Braces in a text of the row's own are sent. The text for all rows is for rows without one."""
    given = "to,text,name\n79000000001,Hi {name},Anna\n79000000002,,Anna\n"
    assert texts_of(given, text="Dear {name}") == ["Hi {name}", "Dear Anna"]
    assert texts_of("to,text\n79000000001,Hi {name}\n") == ["Hi {name}"]


def test_columns_that_nothing_uses() -> None:
    """Columns that nothing uses are told once, before the first row, and never those of a placeholder."""
    for content in (
        "to,name,city,age\n" + "7,Anna,Omsk,5\n" * 600,
        '{"to": "7", "city": "x", "age": 5, "name": null}\n' * 3,
    ):
        told: list[str] = []
        rows = read_messages(io.BytesIO(content.encode()), sender="A", text="{name|x}", on_note=told.append)
        next(rows)
        assert told == ["these columns are not used: 'city', 'age'"]
        assert list(rows)
        assert len(told) == 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("name,city\nAnna,Omsk\n", "no column has the recipients"),
        ("79000000001;Hello\n79000000002;Hello\n", "the first row has a phone number"),
        ("to\n79000000001\n", "no column has the texts"),
    ],
)
def test_errors_of_the_whole_file(given: str, problem: str) -> None:
    """What is wrong with every row is told once, and no cell is shown."""
    with pytest.raises(ConfigurationError, match=problem) as caught:
        rows_of(given)
    assert "Anna" not in str(caught.value)
    assert "7900" not in str(caught.value)


def test_no_sender() -> None:
    """A file without a column of senders needs one for all rows."""
    with pytest.raises(ConfigurationError, match="no column has the sender"):
        rows_of("to,text\n79000000001,x\n", sender=None)


def test_national_numbers_of_rows() -> None:
    """With a country the numbers of rows are converted. Without one, a national number is a problem of its row."""
    given = "to,text\n8 (900) 000-00-01,x\n9000000002,x\n+79000000003,x\n"
    rows = rows_of(given, country="RU")
    assert [row.message.to for row in rows if row.message] == ["79000000001", "79000000002", "79000000003"]
    assert [row.to for row in rows] == ["8 (900) 000-00-01", "9000000002", "+79000000003"]
    assert outcomes(rows_of(given)) == ["invalid", "invalid", "message"]
    assert "--country" in str(rows_of(given)[0].problem)


def test_all_problems_of_a_row() -> None:
    """A bad number does not hide what else is wrong with its row."""
    [row] = rows_of("to,text,name,validity\noops,,,x\n", text="Hi {name}")
    for key in ("to.format.invalid", "text.placeholder.empty", "validity.is.invalid"):
        assert key in str(row.problem)


REPEATED = "to,text\n79000000001,a\n+7 900 000-00-01,b\n89000000001,c\n79000000002,d\n"


def test_unique() -> None:
    """With `unique` the first row of a number has its message, however the others write the number."""
    rows = rows_of(REPEATED, unique=True, country="RU")
    assert outcomes(rows) == ["message", "repeated", "repeated", "message"]
    assert [row.held.text for row in rows if row.held] == ["b", "c"]
    assert all(row.problem is None for row in rows)
    assert outcomes(rows_of(REPEATED, country="RU")) == ["message"] * 4


def test_numbers_with_a_message_already() -> None:
    """With `unique` no row of a number in `sent_before` has a message. Without `unique` they do not count."""
    given = "to,text\n79000000001,a\n79000000002,b\n79000000001,c\n"
    assert outcomes(rows_of(given, unique=True, sent_before=["79000000001"])) == ["repeated", "message", "repeated"]
    assert outcomes(rows_of(given, sent_before=["79000000001"])) == ["message"] * 3
    for wrong in ("79000000001", ["+79000000001"], [79000000001], [""]):
        with pytest.raises(ConfigurationError, match="sent_before must hold numbers") as caught:
            rows_of(given, unique=True, sent_before=wrong)
        assert "79000000001" not in str(caught.value)


def test_unique_counts_only_messages() -> None:
    """A row that is bad does not keep a later row of the same number from being sent."""
    assert outcomes(rows_of("to,text\n79000000001,\n79000000001,x\n", unique=True)) == ["invalid", "message"]


def test_unique_over_many_runs() -> None:
    """A number is found again any number of rows later."""
    numbers = [f"7900{number:07}" for number in range(2_000)]
    rows = rows_of("to,text\n" + "".join(f"{number},x\n" for number in numbers + numbers), unique=True)
    assert outcomes(rows) == ["message"] * 2_000 + ["repeated"] * 2_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("stop.txt", "79000000001\n"),
        ("stop.txt", "# unsubscribed, in 2026\n\nPhone\n+7 900 000-00-01\n"),
        ("stop.txt", "\ufeffТелефон\r\n8 (900) 000-00-01\r\n\r\n# end\r\n"),
        ("stop.csv", "name;Телефон\nАнна;79000000001\nЯна;\n"),
        ("stop.csv", "79000000001;Анна\n79000000009;Яна\n"),
        ("stop.csv", "sep=;\nphone;name\n'79000000001;x\n"),
        ("stop.jsonl", '{"phone": 79000000001}\n{"phone": null}\n'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "utf-16"])
def test_stop_lists(tmp_path: Path, name: str, content: str, encoding: str) -> None:
    """A stop list is a file of any kind, or lines of numbers. A header, blank lines and comments do not count."""
    if encoding == "cp1251" and "\ufeff" in content:
        pytest.skip("has no byte order mark")
    path = tmp_path / name
    path.write_text(content, encoding=encoding, newline="")
    given = "to,text\n79000000001,x\n79000000002,x\n"
    for exclude in (path, str(path), [path, path], StopList(path, country="RU")):
        rows = rows_of(given, exclude=exclude, country="RU")
        assert outcomes(rows) == ["excluded", "message"]
        assert rows[0].held is not None


def test_an_empty_stop_list(tmp_path: Path) -> None:
    """An empty file, or one with only a header, excludes no number."""
    path = tmp_path / "stop.txt"
    for content in ("", "\n\n", "# none\n", "phone\n", "phone,name\n"):
        path.write_text(content)
        assert outcomes(rows_of("to,text\n79000000001,x\n", exclude=path)) == ["message"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("phone\n89000000001\n", "1 lines of the stop list are not phone numbers: line 2 looks like a national number"),
        ("79000000001\noops\n", "line 2 must be an E.164 number, but character 1 is a Latin letter"),
        ("name,city\nAnna,Omsk\n", "no column has the recipients"),
        ("x\n" * 30, "29 lines of the stop list are not phone numbers"),
        (None, "cannot read"),
    ],
)
def test_stop_lists_that_cannot_be_used(tmp_path: Path, content: str | None, problem: str) -> None:
    """A line of a stop list that is not a number ends the reading before the first row: somebody may stand there."""
    path = tmp_path / "stop.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=problem) as caught:
        rows_of("to,text\n79000000001,x\n", exclude=path)
    assert len(str(caught.value)) < 1_500
    assert "Anna" not in str(caught.value)


def test_a_stop_list_leaves_out_too_many_rather_than_too_few(tmp_path: Path) -> None:
    """With a country, a number abroad without its plus is left out too, although a row could not have it so."""
    path = tmp_path / "stop.txt"
    path.write_text("375291234567\n84951234567\n")
    given = "to,text\n+375 29 123-45-67,x\n+79000000001,x\n"
    assert outcomes(rows_of(given, exclude=path, country="RU")) == ["excluded", "message"]


def test_a_row_on_the_stop_list_is_left_out_even_if_it_is_bad(tmp_path: Path) -> None:
    """A row whose number is on the stop list is no problem, whatever else is wrong with it."""
    path = tmp_path / "stop.txt"
    path.write_text("79000000001\n")
    [row] = rows_of("to,name\n79000000001,\n", text="Hi {name}", exclude=path)
    assert (row.left_out, row.message, row.problem, row.held) == ("excluded", None, None, None)


CELLS = st.sampled_from(["", " ", "x", "Анна", "{name}", "%s", "x" * 20_000, "\u00a0", "😀"])
TOS = st.sampled_from(["79000000001", "79000000002", "+7 900 000-00-03", "89000000004", "oops", "", "12025550123"])
SENDERS = st.sampled_from(["A", "B-C", "", " D "])


@given(
    rows=st.lists(st.tuples(TOS, CELLS, CELLS, SENDERS), min_size=1, max_size=6),
    columns=st.sampled_from(
        [("to", "text", "name", "sender"), ("to", "other", "name", "from"), ("to", "b", "name", "c")]
    ),
    options=st.fixed_dictionaries(
        {},
        optional={
            "text": st.sampled_from(["Hi {name}", "50% off", "{name:>4}", "{name|you}"]),
            "sender": st.sampled_from(["A", "B C"]),
            "country": st.sampled_from(["RU", "US"]),
            "unique": st.booleans(),
            "validity": st.just(60),
        },
    ),
)
def test_runs_and_single_rows(rows: list[tuple[str, ...]], columns: tuple[str, ...], options: dict[str, Any]) -> None:
    """Rows that are made in a run are equal to those that are made one by one."""
    file = io.StringIO()
    csv.writer(file).writerows([columns, *rows])

    def read() -> list[Row] | str:
        try:
            return list(read_messages(io.BytesIO(file.getvalue().encode()), form="csv", **options))
        except ConfigurationError as error:
            return str(error)

    in_runs = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowMaker, "_plain_rows", lambda *_: None)
        assert read() == in_runs


def test_objects_with_names_of_their_own() -> None:
    """Each object of JSON lines has its own names, and a whole JSON number is a phone number."""
    lines = [
        {"to": 79000000001, "text": "a"},
        {"phone": "79000000002", "message": "b", "from": "B"},
        {"Телефон": 79000000003.0, "текст": "c", "to": "79000000004"},
        {"schedule_time": "x", "to": "79000000001", "text": "d"},
    ]
    rows = rows_of("\n".join(json.dumps(line) for line in lines))
    assert [row.message and (row.message.to, row.message.text, row.message.sender) for row in rows[:2]] == [
        ("79000000001", "a", "A"),
        ("79000000002", "b", "B"),
    ]
    assert "two columns stand for the field 'to'" in str(rows[2].problem)
    assert "'schedule_time' is not a field" in str(rows[3].problem)


@pytest.mark.parametrize("options", [{}, {"unique": True}])
def test_the_cells_of_rows(options: dict[str, Any]) -> None:
    """Rows have their cells if that is asked for, whether made all at once or one by one. No repr shows a cell."""
    given = b"to;text;Name\n79000000001;a;Anna\n790;b;Bob\n79000000001;c;Carl\n1;2\n"
    for data, cells in (
        (given[:32], [["79000000001", "a", "Anna"]]),
        (
            given,
            [["79000000001", "a", "Anna"], ["790", "b", "Bob"], ["79000000001", "c", "Carl"], None],
        ),
        (b'{"to": "79000000001", "text": "a", "n": 1}\n', [{"to": "79000000001", "text": "a", "n": 1}]),
    ):
        rows = read_messages(io.BytesIO(data), sender="A", keep_cells=True, **options)
        found = list(rows)
        assert [row.cells for row in found] == cells
        assert rows.recipients_at == (0 if data.startswith(b"to") else None)
        assert "Anna" not in repr(found)
    assert {row.cells for row in read_messages(io.BytesIO(given), sender="A", **options)} == {None}
