"""Files of messages: CSV and JSON lines, read row by row, with a problem and a line for each bad row."""

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import ConfigurationError, Reason
from devino_async.campaigns import Row, describe_reasons, read_messages
from devino_async.protocol.placeholders import has_no_value

GOOD = '{"to": "79000000001", "sender": "A", "text": "x"}'


def rows_of(given: str | bytes, **options: Any) -> list[Row]:
    return list(read_messages(io.BytesIO(given if isinstance(given, bytes) else given.encode()), **options))


def problems_of(given: str) -> list[tuple[int, str | None]]:
    return [(row.line, row.problem) for row in rows_of(given)]


def test_every_field_of_a_message() -> None:
    """A column sets the field of its name, as in Message or on the wire, and overrides the value for all rows."""
    header = "from,to,text,validity,scheduledTime,priority,callbackUrl,options,options.b\n"
    cells = 'A,79000000001,x,60,2030-01-01T10:00:00+03:00,HIGH,https://example.com/,"{""a"": ""1""}",2\n'
    for text in (header + cells, header.replace("scheduledTime", "scheduled_time").replace("from", "sender") + cells):
        [row] = rows_of(text, priority="LOW")
        assert row.message is not None
        assert (row.message.validity, row.message.priority) == (60, "HIGH")
        assert row.message.scheduled_time == datetime(2030, 1, 1, 7, tzinfo=UTC)
        assert row.message.callback_url == "https://example.com/"
        assert dict(row.message.options or {}) == {"a": "1", "b": "2"}


def test_values_for_all_rows() -> None:
    """The values given for all rows fill empty cells, and no others."""
    rows = rows_of("to,text,sender\n79000000001,,\n79000000002,own,Unknown\n", sender="A", text="all")
    assert [(row.message.sender, row.message.text) for row in rows if row.message] == [("A", "all"), ("Unknown", "own")]


@pytest.mark.parametrize(
    "text",
    [
        "to,scheduled_time\n79000000001,2030-01-01T10:00\n",
        '{"to": "79000000001", "scheduled_time": "2030-01-01T10:00"}',
    ],
)
def test_a_time_zone(text: str) -> None:
    """Scheduled times without a zone are those of `time_zone` in every form of file. Without it they are problems."""
    for scheduled in (None, datetime.fromisoformat("2031-01-01")):
        zone = ZoneInfo("Europe/Moscow")
        [row] = rows_of(text, sender="A", text="x", time_zone=zone, scheduled_time=scheduled)
        assert row.message is not None
        assert row.message.scheduled_time == datetime(2030, 1, 1, 7, tzinfo=UTC)
    [row] = rows_of(text, sender="A", text="x")
    assert "time zone" in str(row.problem)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"validity": 300_000}, "no row can use these values: validity: validity.is.invalid"),
        ({"scheduled_time": datetime.fromisoformat("2030-01-01")}, "must be a datetime with a time zone"),
        (
            {"scheduled_time": datetime.fromisoformat("2030-03-10T02:30"), "time_zone": ZoneInfo("America/New_York")},
            "clocks change",
        ),
        ({"time_zone": "Europe/Moscow"}, "time_zone must be a tzinfo or None"),
        ({"sender": ""}, "from: not.available"),
        ({"text": "Hi {name"}, "the text cannot be used: text: text.placeholder.invalid"),
        ({"columns": {"colour": "x"}}, "there is no field 'colour' to map"),
        ({"country": "Russia"}, "country must be a code of two letters"),
    ],
)
def test_values_that_no_row_can_use(options: dict[str, Any], problem: str) -> None:
    """Values that no message can have are refused at the call, before the file is opened."""
    with pytest.raises(ConfigurationError, match=problem):
        read_messages("absent.csv", **options)


@pytest.mark.parametrize(
    ("name", "form", "is_json"),
    [("a.txt", None, None), ("a.csv", None, None), ("a.csv", "jsonl", True), ("a.jsonl", "csv", False)],
)
def test_the_form_of_a_file(tmp_path: Path, name: str, form: Any, is_json: bool | None) -> None:
    """`form` decides, or else the first line, for a path and for an open file."""
    path = tmp_path / name
    for text in (GOOD, "to,sender,text\n79000000001,A,x\n"):
        path.write_text(text, encoding="utf-8")
        fits = is_json is None or is_json == (text is GOOD)
        with path.open("rb") as file:
            for source in (path, str(path), file):
                rows = read_messages(source, form=form)
                if fits or is_json:
                    assert (next(rows).message is not None) == fits
                else:
                    with pytest.raises(ConfigurationError):
                        next(rows)


def test_rows_and_runs() -> None:
    """Rows can be read one by one and then in runs, or the other way round, and none is lost."""
    lines = list(range(2, 1_202))
    content = ("sender,to,text\n" + "A,79000000001,x\n" * len(lines)).encode()
    for first in (0, 1, 511, 512, 513):
        rows = read_messages(io.BytesIO(content))
        read = [next(rows).line for _ in range(first)]
        read += [row.line for row in next(rows.runs())]
        read.append(next(rows).line)
        read += [row.line for run in rows.runs() for row in run]
        assert read == lines


def test_a_quote_that_is_never_closed() -> None:
    """Rows after an open quote never become part of a text, so no recipient gets the numbers of others."""
    text = 'sender,to,text\nMyCompany,79000000001,a\nMyCompany,79000000002,"b\nMyCompany,79000000003,c\n'
    # Nor does the next row's quote close it.
    for each in (text, text.replace(",c\n", ',"c"\nMyCompany,79000000004,d\n')):
        with pytest.raises(ConfigurationError, match="line 3 is not valid CSV"):
            rows_of(each)


def test_cells_without_columns() -> None:
    """A row with more or fewer cells than the header is bad, because a comma in a text may have split it."""
    assert problems_of("sender,to,text\nA,79000000001,Dear Sir, hello\nA,79000000001\n") == [
        (2, "has 4 cells for 3 columns"),
        (3, "has 2 cells for 3 columns"),
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("\n\nsender,to,text\n\nA,oops,x\n", [5]),
        ('\n\n{"to": "oops", "sender": "A", "text": "x"}\n\n{"to": "oops"}\n', [3, 5]),
        ('sender,to,text\r\nA,79000000001,"a\r\nb"\r\nA,79000000001,c\r\n', [2, 4]),
    ],
)
def test_lines_are_counted_from_the_top(text: str, lines: list[int]) -> None:
    """Lines have the numbers of an editor: blank lines and line breaks in cells count."""
    assert [row.line for row in rows_of(text)] == lines


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"to": true, "sender": "A", "text": "x"}', "must be a str or a whole number, not bool"),
        ('{"to": 79000000001.5, "sender": "A", "text": "x"}', "must be a str or a whole number, not float"),
        ('{"to": "79000000001", "sender": 5, "text": "x"}', "from: must be a str, not int"),
        ('{"to": "79000000001", "sender": "A", "text": 5}', "must be a str, not int"),
        ('{"to": "79000000001", "sender": "A", "text": "x", "schedule_time": "x"}', "'schedule_time' is not a field"),
        ('{"to": "79000000001", "sender": "A", "text": "x", "from": "B"}', "two columns stand for the field 'sender'"),
        ('{"to": "79000000001", "sender": "A", "text": "x", "options": [1]}', "options: invalid"),
        ('{"to": "79000000001", "sender": "A", "text": "x", "options": "x"}', "options: must be a JSON object"),
        ('{"to": "79000000001", "sender": "A", "text": "x", "scheduled_time": "soon"}', "scheduledTime: must be ISO"),
        ('{"to": "79000000001", "sender": "A", "text": "x", "scheduled_time": "2030-01-01"}', "time zone"),
        ('{"to": "79000000001", "sender": "A", "text": "\\ud800"}', "half of a surrogate pair"),
        ("[" * 100_000, "is not a JSON object"),
        ("[1]", "is not a JSON object"),
    ],
)
def test_kinds_of_bad_json(line: str, problem: str) -> None:
    """Any bad line of JSON is only a bad row, and the row after it is read."""
    bad, good = rows_of(f"{line}\n{GOOD}\n", form="jsonl")
    assert bad.message is None
    assert problem in str(bad.problem)
    assert good.message is not None


def test_a_row_shows_no_number() -> None:
    """The repr of a row shows neither the recipient nor the text."""
    shown = repr(rows_of("sender,to,text\nA,79000000001,secret\nA,+7900000000x,secret\n"))
    assert "7900000" not in shown
    assert "secret" not in shown


def test_a_file_of_the_caller_stays_open(tmp_path: Path) -> None:
    """An open file can be read twice, and stays open. A file that was closed meanwhile ends the reading quietly."""
    path = tmp_path / "a.csv"
    path.write_text("sender,to,text\nA,79000000001,x\nA,79000000002,x\n")
    with path.open("rb") as file:
        once = list(read_messages(file))
        file.seek(0)
        assert list(read_messages(file)) == once
        file.seek(0)
        unfinished = read_messages(file)
        next(unfinished)
    assert isinstance(unfinished, Iterator)
    del unfinished


def test_rows_of_a_pipe_come_at_once() -> None:
    """A row of a pipe is read before the next one is written, and nothing is read before the first is asked for."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source, os.fdopen(writing, "wb", buffering=0) as sink:
        rows = read_messages(source)
        sink.write(b"sender,to,text\n")
        for number in range(3):
            sink.write(f"A,7900000000{number},x\n".encode())
            assert next(rows).to == f"7900000000{number}"


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


def written_as_csv(rows: list[dict[str, str]], delimiter: str) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, ["to", "text", "sender"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


@pytest.mark.parametrize(
    "written",
    [
        lambda rows: written_as_csv(rows, ","),
        lambda rows: written_as_csv(rows, ";"),
        lambda rows: written_as_csv(rows, "\t"),
        lambda rows: "\n".join(map(json.dumps, rows)),
    ],
)
@given(texts=st.lists(CELLS, min_size=1, max_size=5))
def test_round_trip(written: Callable[[list[dict[str, str]]], str], texts: list[str]) -> None:
    """Texts written by the standard library come out unchanged and in order. One that nobody would see is a bad row."""
    rows = [{"to": "79000000001", "text": text, "sender": "A"} for text in texts]
    read = rows_of(written(rows))
    assert [row.message.text if row.message else "" for row in read] == [
        "" if has_no_value(each) else each for each in texts
    ]


def test_reasons_in_words() -> None:
    """Reasons are joined in one line, with their explanations if they have any."""
    reasons = [Reason("to.format.invalid", "to", "must be a number"), Reason("billing.error")]
    assert describe_reasons(reasons) == "to: to.format.invalid (must be a number); billing.error"
