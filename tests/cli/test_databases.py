"""No output may replace a journal, a delivery file, or what is kept beside them, even with --overwrite."""

import os
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ROWS = "sender,to,text\nMyCompany,79000000001,x\n"
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="needs signals, or links")


def refused(cli: Any, output: Path | str, *commands: list[Any]) -> None:
    before = Path(output).read_bytes() if Path(output).exists() else None
    for command in commands:
        result = cli.run(*command, "--output", output, "--overwrite")
        assert result.exit_code == 2, result.stderr
        assert "which may know what was sent" in result.stderr
        assert (Path(output).read_bytes() if Path(output).exists() else None) == before


def commands(path: Path) -> list[list[Any]]:
    """All commands that have --output."""
    return [
        ["send", path],
        ["send", path, "--no-journal"],
        ["campaign", "export", path],
        ["details", "--from", "2026-01-01", "--to", "2026-02-01", "--format", "csv"],
    ]


@UNIX
def test_of_a_journal(cli: Any, counting: Any) -> None:
    """The journal and its -wal, -shm and .claimer files are refused, by any path to them, during a run and after."""
    path = cli.file(ROWS)
    counting.answers = 0
    process = cli.start("send", path)
    counting.wait_until_held(1)
    process.signal(signal.SIGKILL)
    process.end()
    counting.answer_all()
    beside = [each for each in cli.folder.iterdir() if each != path]
    assert sorted(each.suffix for each in beside) == [".claimer", ".journal", ".journal-shm", ".journal-wal"]
    journal = cli.folder / "campaign.csv.journal"
    link, hard = cli.folder / "link.csv", cli.folder / "hard.csv"
    link.symlink_to(journal)
    os.link(journal, hard)
    os.link(f"{journal}-wal", cli.folder / "log.csv")
    for each in (*beside, link, hard, cli.folder / "log.csv"):
        refused(cli, each, *commands(path))
    assert counting.sent.total() == 1


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", ".abcdefgh.claimer"])
def test_of_a_journal_yet_to_come(cli: Any, counting: Any, ending: str) -> None:
    """The journal that this run would make is refused too, and then no file is made."""
    path = cli.file(ROWS)
    for journal in (cli.folder / "campaign.csv.journal", cli.folder / "other"):
        refused(cli, f"{journal}{ending}", ["send", path, "--journal", journal])
    unfinished = ["send", path, "--journal", cli.folder / "r.csv.unfinished", "--output", cli.folder / "r.csv"]
    assert cli.run(*unfinished).exit_code == 2
    assert list(cli.folder.iterdir()) == [path]
    assert counting.sent.total() == 0


def test_of_another_database(cli: Any, counting: Any) -> None:
    """So is any other SQLite file, such as a delivery file."""
    path, database = cli.file(ROWS), cli.folder / "deliveries.db"
    assert cli.run("send", path).exit_code == 0
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE any (x)")
    refused(cli, database, *commands(path))
    assert counting.sent.total() == 1


@pytest.mark.parametrize("name", ["a-wal", "b-shm", "c.abcdefgh.claimer", "d.journal.csv"])
def test_other_files(cli: Any, counting: Any, name: str) -> None:
    """A name alone means nothing."""
    path, output = cli.file(ROWS), cli.folder / name
    assert cli.run("send", path, "--output", output).exit_code == 0
    assert "accepted" in output.read_text()
