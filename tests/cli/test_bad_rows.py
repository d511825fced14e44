"""`devino send` and bad rows: each is shown with its line, keeps its place in the results, and stops no other."""

from typing import Any

import pytest

MIXED = (
    "sender,to,text\nMyCompany,79000000001,one\nMyCompany,oops,two\nUnknown,79000000003,three\nMyCompany,79000000004,\n"
)


def test_bad_rows_do_not_stop_the_good(cli: Any) -> None:
    """A bad row is shown with its line and reason but not its value, keeps its place in the results, and ends in 1."""
    result = cli.run("send", cli.file(MIXED), "--json")
    assert result.exit_code == 1
    assert [(row["line"], row["outcome"]) for row in cli.lines(result.stdout)] == [
        (2, "accepted"),
        (3, "invalid"),
        (4, "rejected"),
        (5, "invalid"),
    ]
    assert "line 3: to: to.format.invalid (must be an E.164 number" in result.stderr
    assert "line 5: text: must.be.not.null" in result.stderr
    assert "4 rows: 1 accepted, 1 rejected, 2 invalid" in result.stderr
    assert "oops" not in result.stderr


def test_all_reasons_of_a_row(cli: Any) -> None:
    """All problems of a row are shown at once."""
    result = cli.run("send", cli.file("sender,to,text,validity\n,oops,x,²\n"))
    [line] = [each for each in result.stderr.splitlines() if each.startswith("line 2: ")]
    assert all(key in line for key in ("not.available", "to.format.invalid", "validity.is.invalid"))
    assert "²" not in line


def test_strict_sends_nothing(cli: Any) -> None:
    """With --strict a file with a bad row is not sent at all."""
    result = cli.run("send", cli.file(MIXED), "--strict", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "line 3: " in result.stderr
    assert "2 bad rows; nothing was sent" in result.stderr


def test_strict_and_good(cli: Any) -> None:
    """With --strict a good file is sent as without it."""
    result = cli.run("send", cli.file(), "--strict", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(cli.lines(result.stdout)) == 2


def test_strict_from_a_pipe(cli: Any) -> None:
    """With --strict a pipe, which cannot be read twice, is read up to the first bad row. Rows before it are sent."""
    process = cli.start("send", "-", "--strict", "--json")
    process.stdin.write(MIXED)
    process.stdin.close()
    rows = cli.lines(process.stdout.read())
    status, told = process.end()
    assert status == 1, told
    outcomes = [(row["line"], row["outcome"]) for row in rows]
    assert outcomes[:2] == [(2, "accepted"), (3, "invalid")]
    # Rows that the thread had read by then have their results too.
    assert {outcome for _, outcome in outcomes[2:]} <= {"not_sent", "invalid"}


@pytest.mark.parametrize("output", ["results.csv", "results.jsonl"])
def test_bytes_that_are_not_utf_8(cli: Any, output: str) -> None:
    """A row in another encoding is a bad row, not the end, and its results can be written all the same."""
    path = cli.folder / "campaign.csv"
    path.write_bytes("sender,to,text\nMyCompany,Ю79000000001,Привет\n".encode("cp1251") + b"MyCompany,79000000002,b\n")
    result = cli.run("send", path, "--output", cli.folder / output)
    assert result.exit_code == 1
    assert "2 rows: 1 accepted, 1 invalid" in result.stderr
    text = (cli.folder / output).read_text(encoding="utf-8")
    assert text.count("accepted") == text.count("invalid,") + text.count('"invalid"') == 1


def test_very_many_bad_rows(cli: Any) -> None:
    """Of many bad rows the first twenty are shown, all are counted, and all are in the results."""
    text = "sender,to,text\n" + "A,oops,x\n" * 1_000
    result = cli.run("send", cli.file(text), "--json")
    assert result.stderr.count("line ") == 20
    assert "1,000 invalid" in result.stderr
    assert len(cli.lines(result.stdout)) == 1_000


LATE = (
    "sender,to,text,scheduled_time\n"
    "MyCompany,79000000001,on time,\n"
    "MyCompany,79000000002,late,2020-01-01T10:00:00Z\n"
    "MyCompany,79000000003,later,2090-01-01T10:00:00Z\n"
)
TOLD_LATE = "line 3: scheduledTime: scheduledTime.is.invalid (is in the past)"


@pytest.mark.parametrize("options", [[], ["--no-journal"], ["--json"]])
def test_late_rows(cli: Any, options: list[str]) -> None:
    """A row whose scheduled time has passed is shown like other bad rows, with an --output or without one."""
    result = cli.run("send", cli.file(LATE), *options)
    assert result.exit_code == 1
    assert TOLD_LATE in result.stderr.splitlines()
    assert "3 rows: 2 accepted, 1 rejected" in result.stderr


@pytest.mark.parametrize("options", [[], ["--no-journal"]])
def test_strict_and_late_rows(cli: Any, counting: Any, options: list[str]) -> None:
    """With --strict a file with a row whose scheduled time has passed is not sent at all."""
    result = cli.run("send", cli.file(LATE), "--strict", *options)
    assert result.exit_code == 1
    assert TOLD_LATE in result.stderr.splitlines()
    assert "1 bad row; nothing was sent" in result.stderr
    assert counting.batches == []


def test_strict_and_rows_that_were_sent_in_time(cli: Any, counting: Any) -> None:
    """A campaign that was begun can be continued with --strict, although rows of it may have become late since then."""
    path = cli.file(LATE)
    assert cli.run("send", path, "--limit", 1).exit_code == 0
    result = cli.run("send", path, "--strict")
    assert result.exit_code == 1
    assert TOLD_LATE in result.stderr.splitlines()
    assert sum(counting.batches) == 2


def test_strict_and_late_rows_from_a_pipe(cli: Any) -> None:
    """With --strict a pipe is read up to the first row whose scheduled time has passed."""
    process = cli.start("send", "-", "--strict", "--json")
    process.stdin.write(LATE)
    process.stdin.close()
    rows = cli.lines(process.stdout.read())
    status, told = process.end()
    assert status == 1, told
    assert [(row["line"], row["outcome"]) for row in rows] == [(2, "accepted"), (3, "rejected"), (4, "not_sent")]
    assert TOLD_LATE in told.splitlines()
