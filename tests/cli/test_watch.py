"""`devino campaign watch`: a run in another process, which goes on as if it were not watched."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from devino_async.cli.watching import Speed

pytestmark = [
    pytest.mark.usefixtures("in_its_folder"),
    pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix"),
]
WATCH = ("campaign", "watch", "campaign.csv", "--interval", "0.1")


@pytest.fixture
def running(cli: Any, counting: Any, rows: str) -> Iterator[Any]:
    """A run of 300 messages, of which 100 were answered and 100 wait for their answer."""
    counting.answers = 1
    process = cli.start("send", cli.file(rows), "--batch-size", "100", "--in-flight", "1", "--output", "r.csv")
    counting.wait_until_held(1)
    yield process
    counting.answer_all()
    process.end()


def first_line(process: Any) -> str:
    return str(process.stdout.readline())


def test_to_the_end(cli: Any, counting: Any, running: Any) -> None:
    """It shows a line for each change, until the campaign is finished, and exits as `send` does."""
    watching = cli.start(*WATCH)
    line = first_line(watching)
    assert "under way: 100 of about 300: 90 accepted, 10 rejected, 100 in flight" in line
    assert "secret" not in line
    counting.answer_all()
    lines = watching.stdout.read().splitlines()
    status, said = watching.end()
    assert (status, said) == (1, "the campaign is finished\n")
    assert "finished: 300 of about 300: 270 accepted, 30 rejected, 0 in flight" in lines[-1]
    assert running.end()[0] == 1
    assert len({each[8:] for each in [line, *lines]}) == len(lines) + 1


def test_a_run_that_is_killed(cli: Any, counting: Any, running: Any) -> None:
    """When the sending process dies, it says so, with what is in doubt and the command that tells what to do."""
    watching = cli.start(*WATCH)
    first_line(watching)
    running.signal(signal.SIGKILL)
    lines = watching.stdout.read().splitlines()
    status, said = watching.end()
    assert status == 1
    assert "stopped: 200 of about 300: 90 accepted, 10 rejected, 100 unconfirmed, 0 in flight" in lines[-1]
    assert "no process is sending this campaign" in said
    assert "unconfirmed: 100 messages" in said
    command = said.splitlines()[-1].partition("to see what to do now: devino ")[2]
    assert "In doubt: 100." in cli.run(*command.split()).stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_left(cli: Any, counting: Any, running: Any, number: int) -> None:
    """A signal ends it at once, and the run goes on to its end."""
    watching = cli.start(*WATCH)
    first_line(watching)
    watching.signal(number)
    status, said = watching.end()
    assert (status, said) == (128 + number, "stopped watching. The run goes on\n")
    counting.answer_all()
    assert running.end()[0] == 1
    assert (counting.sent.total(), counting.twice) == (300, [])


def test_json(cli: Any, counting: Any, running: Any) -> None:
    """Each look is a line of JSON, with the counts, the pace and whether a process is sending."""
    watching = cli.start(*WATCH, "--json")
    first = json.loads(first_line(watching))
    assert (first["live"], first["accepted"], first["in_flight"], first["about"]) == (True, 90, 100, 300)
    assert (first["rate"], first["seconds_left"]) == (None, None)
    counting.answer_all()
    last = cli.lines(watching.stdout.read())[-1]
    assert (last["live"], last["finished"], last["accepted"]) == (False, True, 270)
    watching.end()


def test_paused_and_cancelled(cli: Any, counting: Any, running: Any) -> None:
    """A campaign that is paused or cancelled meanwhile is shown as such, and what is in flight is waited for."""
    watching = cli.start(*WATCH)
    first_line(watching)
    assert cli.run("campaign", "pause").exit_code == 0
    assert "paused, finishing what is in flight: 100" in first_line(watching)
    assert cli.run("campaign", "cancel", "--yes").exit_code == 0
    assert "cancelled, finishing what is in flight: 100" in first_line(watching)
    counting.answer_all()
    lines = watching.stdout.read().splitlines()
    assert "cancelled: 200 of about 300" in lines[-1]
    status, said = watching.end()
    assert (status, "nothing more of it is sent" in said) == (1, True)


def test_a_journal_that_goes(cli: Any, counting: Any, running: Any) -> None:
    """If the journal is deleted under it, it ends in 3 and says what that means for the run."""
    watching = cli.start(*WATCH)
    first_line(watching)
    Path("campaign.csv.journal").rename("aside")
    status, said = watching.end()
    assert status == 3
    assert "A run that had it open sends nothing more" in said
    Path("aside").rename("campaign.csv.journal")


def test_a_busy_journal(cli: Any, finished: str) -> None:
    """While another process keeps the journal for itself, it says so and waits."""
    with closing(sqlite3.connect("campaign.csv.journal", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE campaign SET paused = 0")
        other.execute("COMMIT")
        watching = cli.start(*WATCH)
        watching.hear("it is busy; trying again")
    assert "300 of about 300: 270 accepted" in first_line(watching)
    assert watching.end()[0] == 1


def test_a_journal_that_is_replaced(cli: Any, counting: Any, running: Any) -> None:
    """If another journal takes its place, it says so and shows what that one knows."""
    watching = cli.start(*WATCH)
    first_line(watching)
    Path("campaign.csv.journal").rename("aside")
    Path("campaign.csv.journal-wal").rename("aside-wal")
    Path("campaign.csv.journal-shm").rename("aside-shm")
    copy = Path("copy")
    copy.write_bytes(Path("aside").read_bytes())
    Path("copy-wal").write_bytes(Path("aside-wal").read_bytes())
    Path("copy-wal").rename("campaign.csv.journal-wal")
    copy.rename("campaign.csv.journal")
    watching.hear("the journal was replaced by another file")
    watching.signal(signal.SIGINT)
    watching.end()


def test_a_campaign_that_goes(cli: Any, counting: Any, running: Any) -> None:
    """If the campaign is forgotten under it, it ends in 2 and says so."""
    watching = cli.start(*WATCH, "--interval", "1")
    first_line(watching)
    running.signal(signal.SIGKILL)
    # Its lock is gone when it has ended, not when the signal was sent.
    running.end()
    assert cli.run("campaign", "forget", "--even-unconfirmed", "--yes").exit_code == 0
    status, said = watching.end()
    assert status == 2
    assert "it was forgotten or pruned" in said


def test_what_is_not_under_way(cli: Any, finished: str) -> None:
    """A campaign that no process sends is shown once, and a name that is not there ends in 2."""
    for name in ([], [finished], ["campaign.csv"]):
        result = cli.run("campaign", "watch", *name)
        assert result.exit_code == 1  # Some messages were rejected.
        assert len(result.stdout.splitlines()) == 1
    result = cli.run("campaign", "watch", "absent")
    assert result.exit_code == 2
    assert finished in result.stderr
    assert cli.run("campaign", "watch", "--journal", "absent.journal").exit_code == 2


def test_a_journal_that_cannot_be_read(cli: Any, finished: str) -> None:
    """A file that is not a journal is passed over among others, and ends in 3 if it is named."""
    cli.file("not a journal at all\n" * 100, "foreign.journal")
    result = cli.run("campaign", "watch")
    assert (result.exit_code, "foreign.journal" in result.stderr) == (1, True)
    assert cli.run("campaign", "watch", "--journal", "foreign.journal").exit_code == 3


def test_a_screen(cli: Any, counting: Any, running: Any) -> None:
    """On a terminal it is one screen that is drawn again after each look, and the last one stays."""
    import pty  # Windows has none.

    controller, terminal = pty.openpty()
    command = [sys.executable, "-W", "error", "-m", "devino_async", *WATCH]
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.PIPE, env=environment) as watching:
        os.close(terminal)
        shown = b""
        while b"not known" not in shown:
            shown += os.read(controller, 65_536)
        assert b"under way, 100 of about 300 messages" in shown
        assert b"in flight" in shown
        counting.answer_all()
        try:
            while more := os.read(controller, 65_536):
                shown += more
        except OSError:
            pass  # The terminal is closed.
        assert watching.wait(60) == 1
    os.close(controller)
    assert b"finished, 300 of about 300 messages" in shown
    assert shown.index(b"\x1b[2K") > 0


def test_the_pace() -> None:
    """The rate is of the last minute, and starts afresh after messages went back to be sent again."""
    speed = Speed()
    assert speed.rate is None
    speed.note(0.0, 100)
    assert speed.rate is None
    speed.note(10.0, 1_100)
    assert speed.rate == 100
    for second in range(20, 200, 10):
        speed.note(second, 1_100)
    assert speed.rate == 0
    speed.note(200.0, 600)
    assert speed.rate is None
    speed.note(201.0, 650)
    assert speed.rate == 50
