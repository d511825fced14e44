"""`devino send`: its input, its results, and its exit status."""

import csv
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


def test_csv(cli: Any) -> None:
    """Every row of a CSV gets a result in its order, and all accepted ends in 0."""
    output = cli.folder / "results.csv"
    result = cli.run("send", cli.file(), "--output", output, "--include-segment-id")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(output.read_text(encoding="utf-8").splitlines()))
    assert [(row["line"], row["to"], row["outcome"]) for row in rows] == [
        ("2", "79000000001", "accepted"),
        ("3", "+79000000002", "accepted"),
    ]
    assert all(row["segment_ids"] == row["message_id"] for row in rows)
    assert "2 rows: 2 accepted" in result.stderr
    assert result.stdout == ""


def test_results_of_another_run(cli: Any) -> None:
    """A file that holds something may be the only record of a run. It is replaced only with --overwrite."""
    older = cli.file("older", "results.csv")
    refused = cli.run("send", cli.file(), "--output", older)
    assert refused.exit_code == 2
    assert "--overwrite replaces it" in refused.stderr
    assert older.read_text() == "older"
    assert cli.run("send", cli.file(), "--output", older, "--overwrite").exit_code == 0
    assert older.read_text(encoding="utf-8").count("accepted") == 2


def test_formulas_in_results(cli: Any) -> None:
    """A recipient that a spreadsheet would take as a formula is written as text in CSV. A phone stays as it is."""
    output = cli.folder / "results.csv"
    text = "sender,to,text\nMyCompany,=1+1,x\nMyCompany,+79000000001,x\n"
    cli.run("send", cli.file(text), "--output", output)
    rows = csv.DictReader(output.read_text(encoding="utf-8").splitlines())
    assert [row["to"] for row in rows] == ["'=1+1", "+79000000001"]


@pytest.mark.parametrize("by_option", [False, True])
def test_a_time_zone(cli: Any, by_option: bool) -> None:
    """--time-zone names the zone of scheduled times without one, in the file and in --scheduled-time."""
    # Two hours ago by the clocks of UTC, and still to come by those 12 hours behind.
    moment = (datetime.now(UTC) - timedelta(hours=2)).replace(tzinfo=None).isoformat()
    text = "sender,to,text\nMyCompany,79000000001,a\n"
    if not by_option:
        text = f"sender,to,text,scheduled_time\nMyCompany,79000000001,a,{moment}\n"
    options = ["--scheduled-time", moment] if by_option else []
    for zone, outcome in (("UTC", "rejected"), ("Etc/GMT+12", "accepted")):
        result = cli.run("send", cli.file(text), "--json", "--time-zone", zone, *options)
        assert [row["outcome"] for row in cli.lines(result.stdout)] == [outcome]


def test_json_lines_from_standard_input(cli: Any) -> None:
    """JSON lines are recognised by their first line, wire names are understood, and blank lines are skipped."""
    rows = [
        {"from": "MyCompany", "to": "79000000001", "text": "a", "scheduledTime": "2030-01-01T10:00:00+03:00"},
        {"sender": "MyCompany", "to": "79000000002", "text": "b", "options": {"key": "value"}, "validity": 60},
    ]
    text = "\n\n".join(json.dumps(row) for row in rows) + '\n{"to": 5}\nnonsense\n{"colour": 1}\n'
    result = cli.run("send", "-", "--json", given=text)
    assert [row["outcome"] for row in cli.lines(result.stdout)] == ["accepted"] * 2 + ["invalid"] * 3
    assert [row["line"] for row in cli.lines(result.stdout)] == [1, 3, 4, 5, 6]
    assert result.exit_code == 1


def test_the_name_of_a_file_tells_its_form(cli: Any) -> None:
    """A file called .jsonl is JSON lines even if its first line is not JSON, unless --format says otherwise."""
    text = 'nonsense\n{"sender": "MyCompany", "to": "79000000001", "text": "a"}\n'
    result = cli.run("send", cli.file(text, "campaign.jsonl"), "--json")
    assert [row["outcome"] for row in cli.lines(result.stdout)] == ["invalid", "accepted"]
    assert cli.run("send", cli.file(name="other.jsonl"), "--format", "csv").exit_code == 0


def test_excel_s_csv(cli: Any) -> None:
    """Semicolons, a byte order mark, quotes and line breaks in cells are read as spreadsheets write them."""
    text = '\ufeffsender;to;text;options.key\r\nMyCompany;79000000001;"a;b\r\nc";v\r\nMyCompany;79000000002;d;\r\n'
    result = cli.run("send", cli.file(text), "--json")
    assert result.exit_code == 0, result.output
    assert [row["line"] for row in cli.lines(result.stdout)] == [2, 4]


def test_defaults_by_options(cli: Any) -> None:
    """Options stand for empty cells, and for no others."""
    path = cli.file("to,text,sender\n79000000001,,\n79000000002,own,Unknown\n")
    options = ["--sender", "MyCompany", "--text", "for all", "--priority", "high", "--validity", "60"]
    result = cli.run("send", path, "--json", *options)
    assert [row["outcome"] for row in cli.lines(result.stdout)] == ["accepted", "rejected"], result.output


def test_nothing_in_the_file(cli: Any) -> None:
    """A file without rows sends nothing and ends in 2."""
    for text in ("", "\n\n", "sender,to,text\n"):
        result = cli.run("send", cli.file(text), "--json")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "nothing to send" in result.stderr


def test_more_rows_than_are_held(cli: Any) -> None:
    """A mix of very many good and bad rows gives exactly one result a row, in the order of the rows."""
    rows = [f"MyCompany,7900{number:07},x" if number % 10_000 == 5 else ",,x" for number in range(45_000)]
    output = cli.folder / "results.jsonl"
    result = cli.run("send", cli.file("\n".join(["sender,to,text", *rows])), "--output", output)
    found = cli.lines(output.read_text(encoding="utf-8"))
    assert [row["line"] for row in found] == list(range(2, 45_002))
    assert [row["line"] for row in found if row["outcome"] == "accepted"] == [7, 10_007, 20_007, 30_007, 40_007]
    assert "45,000 rows: 5 accepted, 44,995 invalid" in result.stderr
    assert result.stderr.count("\n") < 30


def test_a_refused_key(cli: Any, guarded_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that the service refuses ends in 3, and every row that was read has its result."""
    monkeypatch.setenv("DEVINO_BASE_URL", guarded_url)
    result = cli.run("send", cli.file(), "--json")
    assert [row["outcome"] for row in cli.lines(result.stdout)] == ["not_sent", "not_sent"]
    assert result.exit_code == 3
    assert "HTTP 401" in result.stderr
    assert "sending those rows again is safe" in result.stderr
    assert "any-key" not in result.stderr + result.stdout


def test_a_refused_key_while_input_keeps_us_waiting(cli: Any, guarded_url: str) -> None:
    """A refused key ends the command even if its standard input stays open and silent."""
    process = cli.start("send", "-", "--batch-size", "1", "--sender", "MyCompany", DEVINO_BASE_URL=guarded_url)
    process.stdin.write("to,text\n" + "79000000001,x\n" * 1_000)
    process.stdin.flush()
    status, told = process.end()
    assert status == 3, told
    assert "HTTP 401" in told


def test_the_results_file_breaks(cli: Any) -> None:
    """Results that cannot be written stop the reading, not what is in flight. It shows the counts and ends in 3."""
    path = cli.file("".join(["sender,to,text\n", *("MyCompany,79000000001,x\n" for _ in range(50_000))]))
    process = cli.start("send", path, "--json", "--batch-size", "100")
    process.stdout.close()
    status, told = process.end()
    assert status == 3, told
    assert "the results are incomplete" in told
    assert "Traceback" not in told
    assert "50,000 rows" not in told


@pytest.mark.parametrize("mute", [True], indirect=True)
def test_unconfirmed(cli: Any, mute: Any) -> None:
    """Messages that may have been sent end in 1, with the advice not to repeat them blindly."""
    result = cli.run("send", cli.file(), "--json", "--no-journal", "--base-url", mute.url)
    assert [row["outcome"] for row in cli.lines(result.stdout)] == ["unconfirmed", "unconfirmed"]
    assert result.exit_code == 1
    assert "do not send them again blindly" in result.stderr
    assert "7900000" not in result.stderr
