"""Results for people: CSV for a Russian Excel, the columns of the input, and statuses of any file with ids."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from devino_async.cli.cells import excel_cell

FILE = "Телефон;Имя;Код;text\n79000000001;Анна;007;Привет\n+79000000002;=1+1;3701172084729928183;Hello\nx;;;bad\n"


def rows_of(path: Path, delimiter: str = ";") -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines(), delimiter=delimiter))


def test_results(cli: Any) -> None:
    """A byte order mark, semicolons, and ids, phones and codes as text: what Excel opens by double click, intact."""
    output = cli.folder / "results.csv"
    assert cli.run("send", cli.file(FILE), "--sender", "A", "--output", output, "--excel").exit_code == 1
    data = output.read_bytes()
    assert data.startswith(b"\xef\xbb\xbfline;to;outcome;")
    assert data.count(b"\r\n") == 4
    first, second, third = rows_of(output)
    assert first["message_id"].startswith('="37')
    assert (first["to"], first["Имя"], first["Код"]) == ('="79000000001"', "Анна", '="007"')
    assert (second["to"], second["Имя"], second["Код"]) == (
        '="+79000000002"',
        "'=1+1",
        '="3701172084729928183"',
    )
    assert (third["outcome"], third["message_id"], third["text"]) == ("invalid", "", "bad")


def test_details_and_outcomes(cli: Any) -> None:
    """Details and outcomes are written in the same form. Amounts have a decimal comma, so that Excel sums them."""
    [one, _] = cli.sent()
    details = cli.run("details", "--message-id", one, "--excel")
    assert details.exit_code == 0, details.stderr
    assert details.stdout.startswith("\ufeffcompany_id;")
    assert f'"=""{one}"""' in details.stdout
    assert ";2,35;" in details.stdout
    outcomes = cli.run("campaign", "export", cli.folder / "campaign.csv", "--excel")
    assert outcomes.exit_code == 0, outcomes.stderr
    assert outcomes.stdout.startswith("\ufeffposition;state;message_id;")
    assert f'accepted;"=""{one}"""' in outcomes.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["send", "FILE", "--excel"],
        ["send", "FILE", "--excel", "--output", "r.jsonl"],
        ["send", "FILE", "--excel", "--json"],
        ["details", "--message-id", "1", "--excel", "--json"],
        ["details", "--message-id", "1", "--excel", "--format", "table"],
        ["campaign", "export", "FILE", "--excel", "--json"],
        ["campaign", "export", "FILE", "--excel", "--output", "r.jsonl"],
    ],
)
def test_what_is_not_csv(cli: Any, arguments: list[str]) -> None:
    """--excel with anything but CSV ends in 2, and nothing is sent or written."""
    path = cli.file("sender,to,text\nA,79000000001,x\n")
    result = cli.run(*[path if each == "FILE" else each for each in arguments])
    assert result.exit_code == 2, result.output
    assert "--excel" in result.stderr
    assert [*cli.folder.iterdir()] == [path]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("3701172084729928183", '="3701172084729928183"'),
        ("007", '="007"'),
        ("+7 (900) 000-00-01", '="+7 (900) 000-00-01"'),
        ("1-2", '="1-2"'),
        ("4.2", '="4.2"'),
        ("1E5", '="1E5"'),
        ("28.11.2026", '="28.11.2026"'),
        (3701172084729928183, '="3701172084729928183"'),
        (12, 12),
        (Decimal("2.35"), "2,35"),
        ("=1+1", "'=1+1"),
        ("-Анна", "'-Анна"),
        ("Анна", "Анна"),
        ("e", "e"),
        (" - ", "' - "),
        ("", ""),
        (None, ""),
        (True, True),
    ],
)
def test_cells(value: Any, cell: Any) -> None:
    """What Excel would turn into a number, a date or a formula stays a text. Numbers stay numbers."""
    assert excel_cell(value) == cell


@pytest.mark.parametrize("journal", [[], ["--no-journal"]])
def test_columns_of_the_input(cli: Any, counting: Any, journal: list[str]) -> None:
    """CSV results carry the columns of the input, for every row, but that of the recipients, which they have already.

    A column that has the name of a result's is told apart.
    """
    text = 'to,Name,error,text,\n79000000001,"An,na",e1,a,\n79000000002,Bob,e2,,\n79000000003,Carl,e3,c,\n'
    stop = cli.file("79000000003\n", "stop.txt")
    for suffix, carried in ((".csv", True), (".jsonl", False)):
        output = cli.folder / f"r{suffix}"
        result = cli.run("send", cli.file(text), "--sender", "A", "--exclude", stop, "--output", output, *journal)
        assert result.exit_code == 1, result.stderr
        if carried:
            rows = rows_of(output, ",")
            assert [*rows[0]][6:] == ["Name", "input.error", "text"]
            assert [(row["outcome"], row["Name"], row["input.error"], row["text"]) for row in rows] == [
                ("accepted", "An,na", "e1", "a"),
                ("invalid", "Bob", "e2", ""),
                ("excluded", "Carl", "e3", "c"),
            ]
        else:
            assert "Name" not in output.read_text()


def test_columns_of_json_lines(cli: Any) -> None:
    """Objects of JSON lines have the members of the first one, and lists and objects in them are JSON."""
    rows = [
        {"to": "79000000001", "text": "a", "tags": [1, "б"], "n": 5},
        {"text": "b", "to": "79000000002", "other": 1},
    ]
    path = cli.file("".join(json.dumps(row) + "\n" for row in rows) + "5\n", "a.jsonl")
    output = cli.folder / "r.csv"
    cli.run("send", path, "--sender", "A", "--output", output)
    assert [(row["text"], row["tags"], row["n"]) for row in rows_of(output, ",")] == [
        ("a", '[1, "б"]', "5"),
        ("b", "", ""),
        ("", "", ""),
    ]


@pytest.mark.parametrize("options", [[], ["--excel"]])
def test_statuses_of_results(cli: Any, options: list[str]) -> None:
    """`devino status --file` reads the results of `send` in either form, and passes over rows without an id."""
    output = cli.folder / "results.csv"
    cli.run("send", cli.file(FILE), "--sender", "A", "--output", output, *options)
    result = cli.run("status", "--file", output, "--json")
    assert result.exit_code == 0, result.stderr
    assert len(cli.lines(result.stdout)) == 2
    assert "does not know" not in result.stderr


def test_statuses_of_other_files(cli: Any) -> None:
    """Any file with a column message_id will do, JSON lines too, and so will ids, one a line."""
    one, two = cli.sent()
    files = [
        cli.file(f"Message ID;x\n{one};1\n'{two};2\n;3\n", "a.csv", "utf-16"),
        cli.file(f'{{"message_id": "{one}"}}\n{{"messageId": {two}}}\n{{"a": 1}}\n', "a.jsonl"),
        cli.file(f"{one}\n\n{two}\n", "a.txt"),
        cli.file(f"message_id\n{one}\n{two}\n", "b.csv"),
    ]
    for path in files:
        result = cli.run("status", "--file", path, "--json")
        assert result.exit_code == 0, result.stderr
        assert [row["message_id"] for row in cli.lines(result.stdout)] == [one, two], path


def test_ids_that_lost_their_digits(cli: Any) -> None:
    """An id that a spreadsheet has rounded is not looked up as another one. It is said, and it ends in 1."""
    one, _ = cli.sent()
    result = cli.run("status", "--file", cli.file(f"message_id\n3.70117E+18\n{one}\n3,7E+18\n", "a.csv"), "--json")
    assert result.exit_code == 1
    assert [row["message_id"] for row in cli.lines(result.stdout)] == [one]
    assert (
        "2 rows have an id that cannot be read or has lost digits in a spreadsheet, the first on line 2"
        in result.stderr
    )


def test_ids_of_a_workbook(cli: Any) -> None:
    """A workbook keeps 15 digits of a number, so an id in a cell of numbers is lost, and one in a text is read."""
    openpyxl = pytest.importorskip("openpyxl")
    one, two = cli.sent()
    workbook = openpyxl.Workbook()
    for cell in ("message_id", int(one), two):
        workbook.active.append([cell])
    path = cli.folder / "ids.xlsx"
    workbook.save(path)
    result = cli.run("status", "--file", path, "--json")
    assert result.exit_code == 1
    assert [row["message_id"] for row in cli.lines(result.stdout)] == [two]
    assert "1 rows have an id that" in result.stderr


def test_a_file_without_ids(cli: Any) -> None:
    """A table without a column message_id ends in 2, with no cell in the error. An empty file has no ids."""
    result = cli.run("status", "--file", cli.file("a,b\n1,2\n", "a.csv"))
    assert result.exit_code == 2
    assert "a.csv has no column message_id" in result.stderr
    assert cli.run("status", "--file", cli.file("", "b.csv")).exit_code == 0
