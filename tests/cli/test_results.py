"""Where results go if there is a journal: beside their place until the end, and never over another file."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

ROWS = "sender,to,text\n" + "".join(f"MyCompany,7900{number:07},x\n" for number in range(10))
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="needs the signals and modes of Unix")


@pytest.fixture
def held(cli: Any, counting: Any) -> tuple[Any, Path]:
    """A run that waits for its only answer, and its output. Two rows have older results."""
    path, output = cli.file(ROWS[: ROWS.index("MyCompany,79000000002")]), cli.folder / "results.csv"
    assert cli.run("send", path, "--output", output).exit_code == 0
    cli.file(ROWS)
    counting.answers = 1
    process = cli.start("send", path, "--output", output)
    counting.wait_until_held(1)
    return process, output


def test_replaced_at_the_end(cli: Any, counting: Any, held: tuple[Any, Path]) -> None:
    """The older results stay until the new ones are whole."""
    process, output = held
    assert output.read_text().count("accepted") == 2
    counting.answer_all()
    assert process.end()[0] == 0
    assert output.read_text().count("accepted") == 10
    assert {each.name for each in cli.folder.iterdir()} == {"campaign.csv", "campaign.csv.journal", "results.csv"}


@UNIX
def test_killed(cli: Any, counting: Any, held: tuple[Any, Path]) -> None:
    """A kill leaves the older results as they were, and the next run replaces what it left unfinished."""
    process, output = held
    process.signal(signal.SIGKILL)
    process.end()
    counting.answer_all()
    assert output.read_text().count("accepted") == 2
    assert cli.run("send", cli.folder / "campaign.csv", "--output", output).exit_code == 1
    assert output.read_text().count("unconfirmed,") == 8
    assert {each.name for each in cli.folder.iterdir()} == {"campaign.csv", "campaign.csv.journal", "results.csv"}


@UNIX
def test_a_second_signal(cli: Any, counting: Any, held: tuple[Any, Path]) -> None:
    """A second signal leaves the older results as they were, and names what there is of the new ones."""
    process, output = held
    process.signal(signal.SIGTERM)
    process.hear("again to end at once")
    process.signal(signal.SIGTERM)
    status, told = process.end()
    assert status == 143
    assert f"{output}.unfinished" in told
    assert output.read_text().count("accepted") == 2


def test_cannot_be_replaced(cli: Any, counting: Any, held: tuple[Any, Path]) -> None:
    """Results that cannot come to their place stay beside it. They are named, and the status is 3."""
    process, output = held
    output.unlink()
    output.mkdir()
    counting.answer_all()
    status, told = process.end()
    assert status == 3
    assert f"{output}.unfinished" in told
    assert Path(f"{output}.unfinished").read_text().count("accepted") == 10


def test_another_file(cli: Any, counting: Any) -> None:
    """A file that is not this campaign's own is refused before anything is sent, unless --overwrite is given."""
    path, output = cli.file(ROWS), cli.folder / "results.csv"
    assert cli.run("send", path, "--output", output).exit_code == 0
    other = cli.file("another record", "other.csv")
    for arguments in ([path, "--output", other], [path, "--campaign", "c", "--output", output]):
        result = cli.run("send", *arguments)
        assert result.exit_code == 2
        assert "may be the only record" in result.stderr
    assert other.read_text() == "another record"
    assert counting.sent.total() == 10
    assert cli.run("send", path, "--output", other, "--overwrite").exit_code == 0
    assert other.read_text().count("accepted") == 10
    assert cli.run("send", path, "--output", other).exit_code == 0


def test_every_file_of_its_own(cli: Any, counting: Any) -> None:
    """Each file that the campaign wrote is its own, not only the last, until another campaign writes there."""
    path, first, second = cli.file(ROWS), cli.folder / "first.csv", cli.folder / "second.csv"
    for output in (first, second, first, second):
        result = cli.run("send", path, "--output", output)
        assert result.exit_code == 0, result.stderr
    [state] = cli.lines(cli.run("campaign", "list", path, "--json").stdout)
    assert (state["output"], state["outputs"]) == ("second.csv", ["second.csv", "first.csv"])
    other = ["send", path, "--campaign", "other", "--output", first]
    assert cli.run(*other).exit_code == 2
    assert cli.run(*other, "--overwrite").exit_code == 0
    assert cli.run(*other).exit_code == 0
    result = cli.run("send", path, "--campaign", state["name"], "--output", first)
    assert result.exit_code == 2
    assert "may be the only record" in result.stderr
    assert cli.run("send", path, "--campaign", state["name"], "--output", second).exit_code == 0
    assert counting.sent.total() == 20


@UNIX
def test_a_link_and_a_mode(cli: Any, counting: Any) -> None:
    """Results behind a link are replaced behind it, and keep their mode."""
    there = cli.folder / "there"
    there.mkdir()
    real, link = there / "real.csv", cli.folder / "results.csv"
    real.touch(0o640)
    real.chmod(0o640)
    link.symlink_to(real)
    assert cli.run("send", cli.file(ROWS), "--output", link).exit_code == 0
    assert link.is_symlink()
    assert real.read_text().count("accepted") == 10
    assert real.stat().st_mode & 0o777 == 0o640


@UNIX
def test_no_regular_file(cli: Any, counting: Any) -> None:
    """What is not a regular file, here a pipe by its name, is written directly."""
    pipe = cli.folder / "pipe"
    os.mkfifo(pipe)
    process = cli.start("send", cli.file(ROWS), "--output", pipe)
    assert pipe.read_text().count("accepted") == 10
    assert process.end()[0] == 0


def test_without_a_journal(cli: Any, counting: Any) -> None:
    """Without a journal there is nothing but the results, so they are written directly."""
    path, output = cli.file(ROWS), cli.folder / "results.csv"
    counting.answers = 0
    process = cli.start("send", path, "--output", output, "--no-journal")
    counting.wait_until_held(1)
    assert output.exists()
    counting.answer_all()
    assert process.end()[0] == 0
    result = cli.run("send", path, "--output", output, "--no-journal")
    assert result.exit_code == 2


def test_very_many_bad_rows_are_one_campaign(cli: Any, counting: Any) -> None:
    """However many bad rows wait behind a message, the campaign is one stream: equal rows on both sides are two."""
    good = "MyCompany,79000000001,x\n"
    path, output = cli.file("sender,to,text\n" + good + "A,oops,x\n" * 50_000 + good), cli.folder / "results.csv"
    result = cli.run("send", path, "--output", output)
    assert result.exit_code == 1
    assert "50,002 rows: 2 accepted, 50,000 invalid" in result.stderr
    assert counting.sent == {("79000000001", "x"): 2}
    lines = output.read_text().splitlines()[1:]
    assert [int(line.split(",")[0]) for line in lines] == list(range(2, 50_004))
    assert [lines[0].split(",")[2], lines[1].split(",")[2], lines[-1].split(",")[2]] == [
        "accepted",
        "invalid",
        "accepted",
    ]
