"""Signals, in real processes: those that stop `devino send`, and the ends of other commands."""

import json
import signal
import sys
from typing import Any

import pytest

STOPPING = [
    pytest.param(number, 128 + number, id=number.name)
    for number in (signal.SIGINT, signal.SIGTERM, *([] if sys.platform == "win32" else [signal.SIGHUP]))
]


def begun(cli: Any, *arguments: Any) -> Any:
    """Start `devino send` with a thousand rows, and wait until it has results and waits for more rows."""
    process = cli.start("send", "-", "--sender", "MyCompany", "--batch-size", "1", "--json", *arguments)
    process.stdin.write("to,text\n" + "".join(f"7900000{number:04},x\n" for number in range(1_024)))
    process.stdin.flush()
    assert process.stdout.readline()
    return process


@pytest.mark.parametrize(("number", "ends_in"), STOPPING)
def test_a_signal(cli: Any, number: int, ends_in: int) -> None:
    """A signal stops reading, finishes what is in flight, and ends in 128 and its number.

    Every row that was read has its result.
    """
    process = begun(cli)
    # Standard input stays open: the command can only end by being interrupted.
    process.signal(number)
    rows = cli.lines(process.stdout.read())
    status, told = process.end()
    assert status == ends_in, told
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


@pytest.mark.parametrize(("number", "ends_in"), STOPPING)
def test_a_second_signal(cli: Any, mute: Any, number: int, ends_in: int) -> None:
    """A second signal ends at once, even if what is in flight is never answered. The status is its own."""
    process = cli.start("send", cli.file(), DEVINO_BASE_URL=mute.url)
    assert mute.asked.wait(60)
    process.signal(signal.SIGINT)
    process.hear("again to end at once")
    process.signal(number)
    status, told = process.end()
    assert status == ends_in, told


@pytest.mark.parametrize(("number", "ends_in"), STOPPING)
def test_a_signal_while_checking(cli: Any, number: int, ends_in: int) -> None:
    """A signal during the first reading of --strict sends nothing."""
    path = cli.file("sender,to,text\n" + "MyCompany,oops,x\n" + "MyCompany,79000000001,x\n" * 300_000)
    process = cli.start("send", path, "--strict")
    process.hear("line 2: ")
    process.signal(number)
    status, told = process.end()
    assert status == ends_in, told
    assert "interrupted; nothing was sent" in told


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGHUP")
def test_nohup(cli: Any) -> None:
    """Under `nohup`, which ignores SIGHUP, a closed terminal does not stop the sending."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = begun(cli)
    finally:
        signal.signal(signal.SIGHUP, before)
    process.signal(signal.SIGHUP)
    process.stdin.write("79000002000,x\n")
    process.stdin.close()
    assert cli.lines(process.stdout.read())[-1]["to"] == "79000002000"
    status, told = process.end()
    assert status == 0, told


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
def test_a_signal_while_tracking(cli: Any) -> None:
    """SIGTERM while statuses are awaited ends at once. The results and the counts are complete."""
    # The sandbox leaves such a number in SENT, so the tracking would go on for an hour.
    path = cli.file("sender,to,text\nMyCompany,79000000995,x\n")
    process = cli.start("send", path, "--json", "--track")
    assert json.loads(process.stdout.readline())["outcome"] == "accepted"
    process.signal(signal.SIGTERM)
    assert process.stdout.read() == ""
    status, told = process.end()
    assert status == 143, told
    assert "1 rows: 1 accepted" in told
