"""`devino campaign reconcile`, in a folder where a killed `devino send` left messages in doubt."""

import os
import re
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("in_its_folder")


@pytest.fixture
def rows() -> str:
    """A file of 300 messages, all of which the service accepts."""
    return "sender,to,text\n" + "".join(f"MyCompany,7900{number:07},secret words\n" for number in range(300))


@pytest.mark.usefixtures("killed")
def test_what_arrived_is_settled(cli: Any, counting: Any) -> None:
    """After a kill it finds what arrived, shows the counts, and the same `send` then ends with 0 and sends the rest."""
    result = cli.run("campaign", "reconcile", "campaign.csv")
    assert result.exit_code == 0, result.output
    assert "100 unconfirmed" in result.stderr
    assert result.stdout.splitlines()[0] == "settled: 100, absent: 0, unclear: 0"
    assert result.stdout.splitlines()[-1] == "now: 200 of 200 accepted, 0 unconfirmed"
    assert "secret" not in result.output
    assert cli.run("send", "campaign.csv", "--output", "r.csv").exit_code == 0
    assert counting.sent.total() == 300
    assert not counting.twice


@pytest.mark.usefixtures("killed")
def test_what_is_not_shown_stays(cli: Any, counting: Any) -> None:
    """What is not found is listed by position, with what to do, and the exit status is 1."""
    counting.rows = counting.rows[:130]
    result = cli.run("campaign", "reconcile")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "settled: 30, absent: 70, unclear: 0"
    assert "70 of the rest were in requests that arrived. Do not send these again." in result.stdout
    [told] = cli.lines(cli.run("campaign", "reconcile", "--json").stdout)
    assert (told["accepted"], told["unconfirmed"]) == (130, 70)
    assert told["reconciled"]["absent"] == list(range(130, 200))
    assert told["reconciled"]["arrived"] == 70
    assert told["reconciled"]["searched"][0]["complete"] is True


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of Unix")
@pytest.mark.usefixtures("killed")
def test_a_terminal_shows_progress(cli: Any, counting: Any) -> None:
    """On a terminal it shows how many pages of rows it has read so far, and nothing of that stays there."""
    import pty  # Windows has none.

    controller, terminal = pty.openpty()
    command = [sys.executable, "-W", "error", "-m", "devino_async", "campaign", "reconcile"]
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=environment) as looking:
        os.close(terminal)
        shown = b""
        with suppress(OSError):  # The terminal is closed.
            while more := os.read(controller, 65_536):
                shown += more
        assert looking.stdout is not None
        assert b"settled: 100" in looking.stdout.read()
        assert looking.wait(60) == 0
    os.close(controller)
    assert re.search(rb"pages of rows.*[1-9][0-9]*/\?", shown)


@pytest.mark.usefixtures("killed")
def test_another_address(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another service than the one that it was sent to knows nothing of it, so it is not asked: 2."""
    assert cli.run("campaign", "reconcile", "--base-url", "http://127.0.0.1:9").exit_code == 2
    monkeypatch.delenv("DEVINO_API_KEY")
    assert cli.run("campaign", "reconcile").exit_code == 2
