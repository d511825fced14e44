"""Signals, in real processes: Ctrl-C in `devino send`, and the ends of other commands."""

import json
import signal
from typing import Any

import pytest


def begun(cli: Any, *arguments: Any) -> Any:
    """Start `devino send` with a thousand rows, and wait until it has results and waits for more rows."""
    process = cli.start("send", "-", "--sender", "MyCompany", "--batch-size", "1", "--json", *arguments)
    process.stdin.write("to,text\n" + "".join(f"7900000{number:04},x\n" for number in range(1_024)))
    process.stdin.flush()
    assert process.stdout.readline()
    return process


def test_ctrl_c(cli: Any) -> None:
    """Ctrl-C stops reading, finishes what is in flight, and ends in 130. Every row that was read has its result."""
    process = begun(cli)
    # Standard input stays open: the command can only end by being interrupted.
    process.signal(signal.SIGINT)
    rows = cli.lines(process.stdout.read())
    status, told = process.end()
    assert status == 130, told
    assert "finishing what is in flight" in told
    assert [row["line"] for row in rows] == list(range(3, len(rows) + 3))
    outcomes = [row["outcome"] for row in rows]
    accepted = outcomes.count("accepted")
    assert outcomes == ["accepted"] * accepted + ["not_sent"] * (len(rows) - accepted)
    assert f"{len(rows) + 1:,} rows: {accepted + 1:,} accepted" in told


def test_ctrl_c_before_anything_came(cli: Any) -> None:
    """Ctrl-C works while standard input has not even brought a header."""
    process = cli.start("send", "-", "--sender", "MyCompany", "--json")
    # More blank lines than the pipe holds, so this returns only once the command is reading.
    process.stdin.write("\n" * 200_000)
    process.stdin.flush()
    process.signal(signal.SIGINT)
    status, told = process.end()
    assert status == 130, told
    assert "Traceback" not in told


def test_a_second_ctrl_c(cli: Any, mute: Any) -> None:
    """A second Ctrl-C ends at once, even if what is in flight is never answered."""
    process = cli.start("send", cli.file(), DEVINO_BASE_URL=mute.url)
    assert mute.asked.wait(60)
    process.signal(signal.SIGINT)
    process.hear("again to end at once")
    process.signal(signal.SIGINT)
    status, told = process.end()
    assert status == 130, told


def test_sandbox_command(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`devino sandbox` prints its address, says how to use it, keeps a database, and ends in 0 after a signal."""
    database = cli.folder / "sandbox.db"
    for number in (signal.SIGTERM, signal.SIGINT):
        process = cli.start("sandbox", "--port", "0", "--database", database)
        url = process.stdout.readline().strip()
        monkeypatch.setenv("DEVINO_BASE_URL", url)
        assert len(cli.sent()) == 2
        process.signal(number)
        status, told = process.end()
        assert status == 0, told
        assert f"DEVINO_BASE_URL={url}" in told
    process = cli.start("sandbox", "--port", "0", "--database", database)
    monkeypatch.setenv("DEVINO_BASE_URL", process.stdout.readline().strip())
    found = cli.run("details", "--from", "2020-01-01", "--to", "2090-01-01", "--json")
    assert len(cli.lines(found.stdout)) == 4


def test_rows_of_a_slow_pipe_are_sent(cli: Any) -> None:
    """Rows of a pipe that stays open are sent without waiting for hundreds more, and their results come at once."""
    process = cli.start("send", "-", "--sender", "MyCompany", "--batch-size", "1", "--json")
    process.stdin.write("to,text\n" + "".join(f"7900000{number:04},x\n" for number in range(3)))
    process.stdin.flush()
    assert [json.loads(process.stdout.readline())["outcome"] for _ in range(3)] == ["accepted"] * 3
    process.signal(signal.SIGINT)
    assert process.stdout.read() == ""
    status, told = process.end()
    assert status == 130, told
    assert "3 rows: 3 accepted" in told
