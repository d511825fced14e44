"""Small files that users of such tools report, and what `devino send` is to make of each."""

from pathlib import Path
from typing import Any

import pytest

# Columns: name of the file, its bytes, the options, the exit status, what is sent, words on stderr.
RUSSIAN = "to;text\r\n79000000001;Ваш заказ готов\r\n79000000002;Order 12 ready\r\n"
FORMATTED = (
    "to,text\n+7 (900) 000-00-01,a\n+7\u00a0 900\u00a0 000-00-01,b\n\u200b79000000001,c\n'79000000001,d\n"
    '79000000001.0,e\n79000000001 ,f\n"=""79000000001""",g\n8 (900) 000-00-01,h\n'
)
NATIONAL = "to,text\n89000000001,a\n9000000001,b\n9161234567,c\n"
VALUES = "to,text,priority,validity\n79000000001,a,high,\n79000000001,b,HIGH ,\n79000000001,c,,3600.0\n"
MERGE = "to,name,city\n79000000001,Anna,Omsk\n"
A = "79000000001"


def case(
    name: str,
    content: str | bytes,
    *options: str,
    status: int = 0,
    sent: list[tuple[str, str]] | None = None,
    told: str = "",
    file: str = "campaign.csv",
) -> Any:
    data = content.encode() if isinstance(content, str) else content
    return pytest.param(file, data, options, status, sent or [], told, id=name)


CASES = [
    case(
        "01 Windows-1251",
        RUSSIAN.encode("cp1251"),
        sent=[(A, "Ваш заказ готов"), ("79000000002", "Order 12 ready")],
        told="read as Windows-1251",
    ),
    case(
        "01 an encoding by option",
        RUSSIAN.encode("cp866"),
        "--encoding",
        "cp866",
        sent=[(A, "Ваш заказ готов"), ("79000000002", "Order 12 ready")],
    ),
    case(
        "01 an encoding that is not there",
        RUSSIAN.encode("cp1251"),
        "--encoding",
        "klingon",
        status=2,
        told="encoding must be a name that Python knows",
    ),
    case("02 UTF-16", RUSSIAN.encode("utf-16"), sent=[(A, "Ваш заказ готов"), ("79000000002", "Order 12 ready")]),
    case("02 a PDF", b"%PDF-1.7\n", status=2, told="the file is a PDF document"),
    case(
        "05 formatted numbers",
        FORMATTED,
        status=1,
        sent=[(A, each) for each in "abcdefg"],
        told="line 9: to: to.format.invalid (looks like a national number",
    ),
    case("05 with a country", FORMATTED, "--country", "RU", sent=[(A, each) for each in "abcdefgh"]),
    case(
        "05 a wrong character",
        "to,text\n7900000000O,a\n",
        status=1,
        told="line 2: to: to.format.invalid (must be an E.164 number, but character 11 is a Latin letter)",
    ),
    case("06 national numbers", NATIONAL, status=1, told="--country"),
    case(
        "06 of a country",
        NATIONAL,
        "--country",
        "RU",
        sent=[(A, "a"), (A, "b"), ("79161234567", "c")],
    ),
    case("06 of an unknown country", NATIONAL, "--country", "Russia", status=2, told="must be a code of two letters"),
    case("07 sep=;", "sep=;\nto;text\n79000000001;a\n", sent=[(A, "a")]),
    case("08 trailing columns", "to;text;;\n79000000001;a;;\n", sent=[(A, "a")]),
    case("08 empty rows", "to;text\n79000000001;a\n;\n;\n", sent=[(A, "a")]),
    case("09 no header", "79000000001;Hello\n79000000002;Hello\n", status=2, told="is not a header"),
    case(
        "11 merge fields",
        MERGE,
        "--text",
        "Hello {name} in {city}",
        sent=[(A, "Hello Anna in Omsk")],
    ),
    case(
        "11 no column",
        "to\n79000000001\n",
        "--text",
        "Hello {name}",
        status=2,
        told="no column fills {name} in the text. The columns are 'to'",
    ),
    case("11 an empty cell", "to,name\n79000000001,\n", "--text", "Hello {name}", status=1, told="{name} has no value"),
    case("11 a default", "to,name\n79000000001,\n", "--text", "Hello {name|you}", sent=[(A, "Hello you")]),
    case("11 a brace that is open", "to\n79000000001\n", "--text", "Hello {name", status=2, told="never closed"),
    case(
        "12 all of them",
        "to,text\n79000000001,S\n+79000000001,S\n89000000001,S\n",
        "--country",
        "RU",
        sent=[(A, "S")] * 3,
    ),
    case(
        "12 --unique",
        "to,text\n79000000001,S\n+79000000001,S\n89000000001,S\n",
        "--country",
        "RU",
        "--unique",
        sent=[(A, "S")],
    ),
    case("16 a JSON number", '{"to": 79000000001, "text": "a"}\n', sent=[(A, "a")], file="campaign.jsonl"),
    case("17 values", VALUES, sent=[(A, "a"), (A, "b"), (A, "c")]),
    case("17 the option", "to,text\n79000000001,a\n", "--priority", "high", sent=[(A, "a")]),
    case(
        "columns by name",
        "Контакт;Имя;Текст\n79000000001;Анна;Ночь\n",
        "--map",
        "to=Контакт",
        "--map",
        "text=",
        "--text",
        "{Имя}: {Текст}",
        sent=[(A, "Анна: Ночь")],
    ),
    case(
        "unused columns", MERGE, "--text", "Hi {name}", sent=[(A, "Hi Anna")], told="this column is not used: 'city'\n"
    ),
    case("a misspelt field", "to,text,schedule_time\n79000000001,a,\n", status=2, told="--map scheduled_time=COLUMN"),
    case("two recipients", "phone,Телефон,text\n79000000001,79000000002,a\n", status=2, told="--map to=COLUMN"),
    case("two texts", "to,message\n79000000001,a\n", "--text", "b", status=2, told="--map text=COLUMN"),
    case(
        "a map without a field", MERGE, "--map", "colour=x", "--text", "x", status=2, told="there is no field 'colour'"
    ),
    case("a map without a column", MERGE, "--map", "to=x", "--text", "x", status=2, told="no such column"),
    case("no map", MERGE, "--map", "to", "--text", "x", status=2, told="--map must be FIELD=COLUMN"),
    case("two maps", MERGE, "--map", "to=to", "--map", "to=name", status=2, told="--map to= is given twice"),
]


@pytest.mark.parametrize(("file", "data", "options", "status", "sent", "told"), CASES)
@pytest.mark.parametrize("journal", ["--no-journal", ""])
def test_case(
    cli: Any,
    counting: Any,
    file: str,
    data: bytes,
    options: tuple[str, ...],
    status: int,
    sent: list[tuple[str, str]],
    told: str,
    journal: str,
) -> None:
    """What a file means is known before its first row is sent. What is not certain is refused, not sent astray."""
    path: Path = cli.folder / file
    path.write_bytes(data)
    result = cli.run("send", path, "--sender", "MyCompany", *filter(None, [journal]), *options)
    assert result.exit_code == status, result.stderr
    assert sorted(counting.sent.elements()) == sorted(sent)
    assert result.stderr.count(told) == 1 or (not told) or status == 1, result.stderr
    assert told in result.stderr
    if status == 2:
        # A usage error shows no cell.
        assert not any(cell in result.stderr for cell in ("79000000001", "Anna", "Hello\n"))
        assert not list(cli.folder.glob("*.journal"))


def test_the_values_of_case_17(cli: Any, sandbox_url: str) -> None:
    """A column reads what the option of that name reads."""
    result = cli.run("send", cli.file(VALUES), "--sender", "MyCompany", "--json")
    assert [row["outcome"] for row in cli.lines(result.stdout)] == ["accepted"] * 3


def test_text_file(cli: Any, counting: Any) -> None:
    """A text with line breaks and quotes comes from a file, as UTF-8. Its last line break is not part of it."""
    text = cli.file('\ufeffДорогая {name},\n"10%" вам.\n', "text.txt")
    path = cli.file(MERGE)
    assert cli.run("send", path, "--sender", "A", "--text-file", text).exit_code == 0
    assert list(counting.sent) == [(A, 'Дорогая Anna,\n"10%" вам.')]
    both = cli.run("send", path, "--sender", "A", "--text-file", text, "--text", "x")
    assert both.exit_code == 2
    assert "--text and --text-file cannot be used together" in both.stderr
    odd = cli.file("Привет", "odd.txt", "cp1251")
    assert "is not UTF-8" in cli.run("send", path, "--sender", "A", "--text-file", odd).stderr


def test_results_of_rows_that_are_left_out(cli: Any, counting: Any) -> None:
    """Rows that are excluded or repeated have results of their own, and all is well without them."""
    stop = cli.file("# unsubscribed\n\n+7 900 000-00-02\n", "stop.txt")
    path = cli.file("to,text\n79000000001,a\n79000000002,b\n+79000000001,c\n79000000003,d\n")
    for journal in ("--no-journal", "--campaign=x"):
        result = cli.run("send", path, "--sender", "A", "--json", "--unique", "--exclude", stop, journal)
        assert result.exit_code == 0, result.stderr
        outcomes = [(row["line"], row["outcome"]) for row in cli.lines(result.stdout)]
        assert outcomes == [(2, "accepted"), (3, "excluded"), (4, "repeated"), (5, "accepted")]
        assert "4 rows: 2 accepted, 1 excluded, 1 repeated" in result.stderr
    assert sorted(counting.sent) == [(A, "a"), ("79000000003", "d")]


@pytest.mark.parametrize("first", [[], ["--unique"], ["--limit", "150"], ["--unique", "--limit", "250"]])
@pytest.mark.parametrize("then", [["--unique"], [], ["--exclude", "stop.txt"], ["--exclude", "stop.txt", "--unique"]])
def test_a_stop_list_that_grew_between_two_runs(cli: Any, counting: Any, first: list[str], then: list[str]) -> None:
    """A row that is left out now and was sent before counts as in the file, is not sent again, and has its result."""
    path = cli.file("to,text\n" + "".join(f"7900{number:07},x{number}\n" for number in range(300)))
    before = cli.run("send", path, "--sender", "A", "--json", *first)
    assert before.exit_code == 0, before.stderr
    sent = {row["line"]: row for row in cli.lines(before.stdout)}
    stop = cli.file("".join(f"7900{number:07}\n" for number in range(100, 300)), "stop.txt")
    again = cli.run("send", path, "--sender", "A", "--json", *[stop if each == "stop.txt" else each for each in then])
    assert again.exit_code == 0, again.stderr
    assert counting.twice == []
    rows = cli.lines(again.stdout)
    assert len(rows) == 300
    for row in rows:
        if row["line"] in sent:
            assert row == sent[row["line"]]
        else:
            assert row["outcome"] == ("excluded" if "--exclude" in then else "accepted")


def test_the_same_people_by_other_rows(cli: Any, counting: Any) -> None:
    """Equal rows that were sent before --unique was given keep their results, one for each."""
    path = cli.file("to,text\n" + "79000000001,x\n" * 3 + "79000000002,y\n")
    assert cli.run("send", path, "--sender", "A", "--limit", 2).exit_code == 0
    result = cli.run("send", path, "--sender", "A", "--unique", "--json")
    assert [row["outcome"] for row in cli.lines(result.stdout)] == ["accepted", "accepted", "repeated", "accepted"]
    assert counting.sent == {(A, "x"): 2, ("79000000002", "y"): 1}


def test_a_bad_stop_list(cli: Any, counting: Any) -> None:
    """Nothing is sent, and no journal is made, with a stop list of which a line is not a number."""
    stop = cli.file("79000000001\n89000000002\n", "stop.txt")
    path = cli.file("to,text\n79000000003,x\n")
    result = cli.run("send", path, "--sender", "A", "--exclude", stop)
    assert result.exit_code == 2
    assert (
        "stop.txt: 1 lines of the stop list are not phone numbers: line 2 looks like a national number" in result.stderr
    )
    assert not counting.sent
    assert not list(cli.folder.glob("*.journal"))
