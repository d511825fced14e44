"""`devino send` with a journal: the same command again after every kind of end, and files that changed in between."""

import os
import re
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

HEADER = "sender,to,text\n"
UNIX = pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix")


def row(number: int, text: str = "x", sender: str = "MyCompany") -> str:
    return f"{sender},7900{number:07},{text}\n"


def rows(*numbers: int) -> str:
    return HEADER + "".join(map(row, numbers))


def texts(sent: Any) -> list[str]:
    return sorted(text for _, text in sent)


def outcomes(path: Path) -> list[tuple[int, str]]:
    """The line and the outcome of each result, which must be in the order of the input."""
    found = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    assert found == sorted(found, key=lambda cells: int(cells[0]))
    return [(int(cells[0]), cells[2]) for cells in found]


def age(journal: Path, seconds: float) -> None:
    """Make everything in a journal older by this much."""
    with sqlite3.connect(journal) as connection:
        connection.execute(
            "UPDATE campaign SET started_at = started_at - ?, changed_at = changed_at - ?", [seconds] * 2
        )
    connection.close()


# The same command again


@UNIX
@pytest.mark.parametrize(
    ("number", "ends_in"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_the_same_command_again(cli: Any, counting: Any, number: int, ends_in: int) -> None:
    """After a kill or a signal the same command sends the rest, and nothing twice.

    After a kill the batches in flight are unconfirmed. After a signal they are finished.
    """
    path, output = cli.file(rows(*range(2_000))), cli.folder / "results.csv"
    command = ["send", path, "--output", output, "--batch-size", "100", "--in-flight", "2"]
    counting.held_from = "79000000500"
    process = cli.start(*command)
    counting.wait_until_held(2)
    process.signal(number)
    if number != signal.SIGKILL:
        process.hear("finishing what is in flight")
    counting.answer_all()
    status, told = process.end()
    assert status == ends_in, told
    assert counting.sent.total() == 700
    assert output.exists() == (number != signal.SIGKILL)
    [state] = cli.lines(cli.run("campaign", "list", path, "--json").stdout)
    assert (state["messages"], state["finished"]) == (700, False)
    again = cli.run(*command)
    assert not counting.twice
    assert len(counting.sent) == 2_000
    doubted = 200 if number == signal.SIGKILL else 0
    assert again.exit_code == (1 if doubted else 0), again.stderr
    found = outcomes(output)
    assert [line for line, _ in found] == list(range(2, 2_002))
    assert [outcome for _, outcome in found].count("unconfirmed") == doubted
    assert [outcome for _, outcome in found].count("accepted") == 2_000 - doubted
    assert not list(cli.folder.glob("*.unfinished"))


@UNIX
def test_what_is_in_doubt_stays_in_doubt(cli: Any, counting: Any) -> None:
    """What was in flight at a kill is not sent by any later run either."""
    path = cli.file(rows(*range(10)))
    counting.answers = 0
    process = cli.start("send", path)
    counting.wait_until_held(1)
    process.signal(signal.SIGKILL)
    process.end()
    counting.answer_all()
    for _ in range(2):
        result = cli.run("send", path)
        assert result.exit_code == 1
        assert "10 unconfirmed" in result.stderr
        assert "the same command does not send them" in result.stderr
    assert counting.sent.total() == 10


def test_not_sent_is_sent(cli: Any, guarded_url: str) -> None:
    """What was proved unsent, here by a refused key, is sent by the same command."""
    command = ["send", cli.file(rows(1, 2)), "--base-url", guarded_url, "--api-key"]
    first = cli.run(*command, "wrong")
    assert first.exit_code == 3
    assert "2 not sent" in first.stderr
    assert "the same command does that" in first.stderr
    again = cli.run(*command, "right")
    assert again.exit_code == 0
    assert "2 accepted" in again.stderr


def test_two_runs_at_once(cli: Any, counting: Any) -> None:
    """A second run of a campaign under way exits with 2, sends nothing, and leaves the first one's results alone."""
    path, output = cli.file(rows(*range(10))), cli.folder / "results.csv"
    counting.answers = 0
    process = cli.start("send", path, "--output", output)
    counting.wait_until_held(1)
    second = cli.run("send", path, "--output", output)
    assert second.exit_code == 2
    assert "another run" in second.stderr
    counting.answer_all()
    status, told = process.end()
    assert status == 0, told
    assert [outcome for _, outcome in outcomes(output)] == ["accepted"] * 10
    assert counting.sent.total() == 10


def test_the_batch_size(cli: Any, counting: Any) -> None:
    """With a journal batches are smaller, because a kill leaves all that are in flight in doubt."""
    path = cli.file(rows(*range(10_000)))
    assert cli.run("send", path).exit_code == 0
    assert max(counting.batches) == 8_000
    assert cli.run("send", path, "--no-journal").exit_code == 0
    assert max(counting.batches) == 10_000


# A file that changed


def test_rows_mended_and_added(cli: Any, counting: Any) -> None:
    """(a) Rows that were not accepted may be corrected or deleted, others added or moved. Only new ones are sent."""
    bad = "MyCompany,oops,x\n"
    refused = row(4, sender="Unknown")
    path = cli.file(HEADER + row(1) + bad + row(2) + refused + bad + row(3))
    assert cli.run("send", path).exit_code == 1
    assert counting.sent.total() == 4
    cli.file(HEADER + row(6) + row(3) + row(5) + row(1) + row(4) + row(2))
    result = cli.run("send", path)
    assert result.exit_code == 0, result.stderr
    assert "continues: 3 rows unchanged, 3 new" in result.stderr
    assert counting.sent == {(f"7900{number:07}", "x"): 1 + (number == 4) for number in range(1, 7)}


def test_one_row_is_no_rows(cli: Any, counting: Any) -> None:
    """Counts of one are said in the singular, wherever a run says what it continues."""
    path = cli.file(rows(1))
    assert cli.run("send", path).exit_code == 0
    said = [cli.run("send", path).stderr]
    assert "the only row was sent in campaign" in said[0]
    cli.file(rows(1, 2))
    said.append(cli.run("send", path).stderr)
    assert "continues: 1 row unchanged, 1 new" in said[-1]
    cli.file(rows(2))
    said.append(cli.run("send", path).stderr)
    cli.file(rows(3))
    said.append(cli.run("send", path).stderr)
    assert "to send the only row, as a new campaign" in said[-1]
    assert not [each for each in said if re.search(r"\b1 (valid )?(rows|messages)\b", each)]


def test_equal_rows_are_counted(cli: Any, counting: Any) -> None:
    """A row that stands twice is sent twice, and once more if it is there a third time."""
    path = cli.file(rows(1, 1, 2))
    assert cli.run("send", path).exit_code == 0
    cli.file(rows(2, 1, 1, 1))
    result = cli.run("send", path)
    assert result.exit_code == 0
    assert "3 rows unchanged, 1 new" in result.stderr
    assert counting.sent == {("79000000001", "x"): 3, ("79000000002", "x"): 1}


@UNIX
def test_sent_rows_are_missing(cli: Any, counting: Any) -> None:
    """(b) If rows that were or may have been sent are missing, nothing is sent, and two ways to continue are named."""
    path = cli.file(rows(*range(300)))
    command = ["send", path, "--batch-size", "100", "--in-flight", "1"]
    counting.answers = 1
    process = cli.start(*command)
    counting.wait_until_held(1)
    process.signal(signal.SIGKILL)
    process.end()
    counting.answer_all()
    cli.file(rows(*range(5, 190), 1_000))
    result = cli.run(*command)
    assert result.exit_code == 2
    assert "No longer in it: 5 sent and 10 perhaps sent" in result.stderr
    assert "unchanged: 185, new: 1." in result.stderr
    assert "  --only-new " in result.stderr
    assert f"  --campaign campaign.csv@{counting.url[7:]}-2 " in result.stderr
    assert counting.sent.total() == 200
    result = cli.run(*command, "--only-new")
    assert result.exit_code == 1, result.stderr
    assert "no longer in the file: 5 sent and 10 perhaps sent" in result.stderr
    assert "186 rows: 96 accepted, 90 unconfirmed" in result.stderr
    assert counting.sent.total() == 201
    assert not counting.twice
    result = cli.run(*command, "--campaign", "another")
    assert result.exit_code == 0
    assert counting.sent.total() == 201 + 186


def test_another_file_of_the_same_name(cli: Any, counting: Any) -> None:
    """(c) With no row in common a new campaign begins, and a line says so. Later runs continue the one that fits.

    This needs an earlier campaign that is finished, and has not changed for a day.
    """
    name = f"campaign.csv@{counting.url[7:]}"
    path, journal = cli.file(rows(1, 2)), cli.folder / "campaign.csv.journal"
    assert f"campaign '{name}' begins" in cli.run("send", path).stderr
    age(journal, 25 * 3_600)
    cli.file(rows(3, 4))
    result = cli.run("send", path)
    assert result.exit_code == 0
    assert "no row of campaign.csv is in its earlier campaigns" in result.stderr
    assert f"campaign '{name}-2' begins" in result.stderr
    for numbers, goes_on in (((1, 2, 5), name), ((3, 4, 6), f"{name}-2"), ((7,), f"{name}-3")):
        if numbers == (7,):
            age(journal, 25 * 3_600)
        cli.file(rows(*numbers))
        result = cli.run("send", path)
        assert result.exit_code == 0
        assert f"campaign '{goes_on}'" in result.stderr
    assert counting.sent == {(f"7900{number:07}", "x"): 1 for number in range(1, 8)}


@pytest.mark.parametrize("case", ["recent", "recent, --only-new", "not finished", "older one continued"])
def test_another_option(cli: Any, counting: Any, case: str) -> None:
    """(c) Another --priority makes every row another message. Nothing is sent twice unasked for it."""
    path, journal = cli.file(rows(1, 2, 3)), cli.folder / "campaign.csv.journal"
    name = f"campaign.csv@{counting.url[7:]}"
    assert cli.run("send", path, *(["--limit", "2"] if case == "not finished" else [])).exit_code == 0
    if case == "not finished":
        age(journal, 100 * 3_600)
    if case == "older one continued":
        age(journal, 25 * 3_600)
        assert cli.run("send", path, "--priority", "LOW").exit_code == 0
        age(journal, 25 * 3_600)
        cli.file(rows(1, 2, 3, 4))
        assert cli.run("send", path).exit_code == 0
    sent = counting.sent.total()
    changed = ["send", path, "--priority", "HIGH", *(["--only-new"] if "--only-new" in case else [])]
    result = cli.run(*changed)
    assert result.exit_code == 2, result.stderr
    assert counting.sent.total() == sent
    state = "not finished" if case == "not finished" else "finished"
    assert f"no row of campaign.csv is the same as in its campaign '{name}'" in result.stderr
    accepted = {"not finished": 2, "older one continued": 4}.get(case, 3)
    assert f"{accepted} of them accepted, and is {state}" in result.stderr
    assert "the same options as before  to go on" in result.stderr
    [line] = [line for line in result.stderr.splitlines() if line.startswith("  --campaign ")]
    assert cli.run(*changed, *line.split("  to send")[0].split()).exit_code == 0
    assert counting.sent.total() == sent + (4 if case == "older one continued" else 3)
    # The new campaign is found again without its name.
    assert cli.run(*changed).exit_code == 0
    assert counting.sent.total() == sent + (4 if case == "older one continued" else 3)


def test_another_option_after_nothing_was_sent(cli: Any, counting: Any) -> None:
    """(c) After a campaign of which everything was rejected, here for its sender, a new one needs no leave."""
    path = cli.file("to,text\n79000000001,x\n")
    assert cli.run("send", path, "--sender", "Unknown").exit_code == 1
    result = cli.run("send", path, "--sender", "MyCompany")
    assert result.exit_code == 0, result.stderr


def test_another_option_after_a_cancel(cli: Any, counting: Any) -> None:
    """(c) A campaign that was cancelled more than a day ago has ended, though it is not finished."""
    path, journal = cli.file(rows(1, 2, 3)), cli.folder / "campaign.csv.journal"
    assert cli.run("send", path, "--limit", "2").exit_code == 0
    assert cli.run("campaign", "cancel", "--journal", journal, "--yes").exit_code == 0
    assert cli.run("send", path, "--priority", "HIGH").exit_code == 2
    age(journal, 25 * 3_600)
    assert cli.run("send", path, "--priority", "HIGH").exit_code == 0
    assert counting.sent.total() == 5


@pytest.mark.parametrize(("sender", "status"), [("MyCompany", 0), ("Unknown", 1)])
def test_finished_and_run_again(cli: Any, counting: Any, sender: str, status: int) -> None:
    """(d) A finished campaign is not sent again. The exit status is the same, and the results are written again."""
    path, output = cli.file(rows(1, 2) + row(3, sender=sender)), cli.folder / "results.csv"
    first = cli.run("send", path, "--output", output)
    assert first.exit_code == status
    results = output.read_bytes()
    output.unlink()
    again = cli.run("send", path, "--output", output)
    assert again.exit_code == status
    assert ("all 3 rows were sent" in again.stderr) == (status == 0)
    if status:
        assert "nothing is left to send" in again.stderr
        assert ": 2 accepted, 1 rejected; nothing is sent" in again.stderr
        assert "corrected in the file is sent by running the same command again" in again.stderr
    assert counting.sent.total() == 3
    assert output.read_bytes() == results


def test_finished_long_ago(cli: Any, counting: Any) -> None:
    """(d) After more than a day it exits with 2 and names the option to add, or a reminder would silently go unsent.

    Runs that send nothing do not make a campaign younger.
    """
    path = cli.file(rows(1, 2))
    assert cli.run("send", path).exit_code == 0
    journal = cli.folder / "campaign.csv.journal"
    age(journal, 23 * 3_600)
    assert cli.run("send", path).exit_code == 0
    age(journal, 2 * 3_600)
    result = cli.run("send", path)
    assert result.exit_code == 2
    [line] = [line for line in result.stderr.splitlines() if line.startswith("  --campaign ")]
    assert counting.sent.total() == 2
    assert cli.run("send", path, "--only-new").exit_code == 0
    assert counting.sent.total() == 2
    assert cli.run("send", path, *line.split()).exit_code == 0
    assert counting.sent.total() == 4


def test_another_address(cli: Any, counting: Any, sandbox_url: str) -> None:
    """A trial at the sandbox does not hide the real run, and a campaign never goes on at another address."""
    path = cli.file(rows(1, 2))
    assert cli.run("send", path, "--base-url", sandbox_url).exit_code == 0
    assert counting.sent.total() == 0
    assert cli.run("send", path).exit_code == 0
    assert counting.sent.total() == 2
    trial = f"campaign.csv@{sandbox_url[7:]}"
    result = cli.run("send", path, "--campaign", trial)
    assert result.exit_code == 2
    assert "another address" in result.stderr
    assert counting.sent.total() == 2


def test_a_limit(cli: Any, counting: Any) -> None:
    """--limit sends the first rows. The same command without it sends the others. Neither reports missing rows."""
    path = cli.file(rows(1, 1, 2, 3) + "MyCompany,oops,x\n" + row(4))
    first = cli.run("send", path, "--limit", "3")
    assert first.exit_code == 0
    assert "3 rows: 3 accepted" in first.stderr
    assert counting.sent == {("79000000001", "x"): 2, ("79000000002", "x"): 1}
    [state] = cli.lines(cli.run("campaign", "list", path, "--json").stdout)
    assert not state["finished"]
    assert cli.run("send", path, "--limit", "2").exit_code == 0
    assert cli.run("send", path, "--limit", "4").exit_code == 0
    assert counting.sent.total() == 4
    last = cli.run("send", path)
    assert last.exit_code == 1
    assert "6 rows: 5 accepted, 1 invalid" in last.stderr
    assert counting.sent == {(f"7900{number:07}", "x"): 1 + (number == 1) for number in range(1, 5)}


def test_a_name_of_its_own(cli: Any, counting: Any) -> None:
    """--campaign compares with that campaign only, even if it shares no row with the file."""
    path = cli.file(rows(1, 2))
    for name in ("one", "two"):
        assert cli.run("send", path, "--campaign", name).exit_code == 0
    assert counting.sent.total() == 4
    cli.file(rows(3))
    result = cli.run("send", path, "--campaign", "one")
    assert result.exit_code == 2
    assert "No longer in it: 2 sent" in result.stderr
    assert counting.sent.total() == 4


# Where the journal is


def test_moved_together(cli: Any, counting: Any) -> None:
    """A file and its journal may move to another folder, and the journal is for its owner only."""
    path = cli.file(rows(1, 2))
    assert cli.run("send", path, "--campaign", "spring").exit_code == 0
    journal = cli.folder / "campaign.csv.journal"
    assert sys.platform == "win32" or journal.stat().st_mode & 0o777 == 0o600
    there = cli.folder / "there"
    there.mkdir()
    path.rename(there / path.name)
    journal.rename(there / journal.name)
    result = cli.run("send", there / path.name)
    assert "all 2 rows were sent in campaign 'spring'" in result.stderr
    assert counting.sent.total() == 2


@pytest.mark.parametrize("how", ["--journal", "DEVINO_JOURNAL"])
def test_another_place(cli: Any, counting: Any, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """--journal, or the environment, puts the journal into another place."""
    place = cli.folder / "all.journal"
    arguments = ["--journal", place]
    if how == "DEVINO_JOURNAL":
        monkeypatch.setenv(how, str(place))
        arguments = []
    path = cli.file(rows(1))
    for _ in range(2):
        assert cli.run("send", path, *arguments).exit_code == 0
    assert counting.sent.total() == 1
    assert {each.name for each in cli.folder.iterdir()} == {"campaign.csv", "all.journal"}


def test_no_journal(cli: Any, counting: Any) -> None:
    """--no-journal keeps none, so the same command sends everything again."""
    path = cli.file(rows(1))
    for _ in range(2):
        assert cli.run("send", path, "--no-journal").exit_code == 0
    assert counting.sent.total() == 2
    assert list(cli.folder.iterdir()) == [path]


def test_a_folder_that_cannot_hold_one(cli: Any, counting: Any) -> None:
    """If no journal can be made, nothing is sent, and the alternatives are named."""
    path = cli.file(rows(1))
    for place in (path / "x.journal", cli.folder / "absent" / "x.journal"):
        result = cli.run("send", path, "--journal", place)
        assert result.exit_code == 2
        assert "--journal PATH" in result.stderr
        assert "--no-journal" in result.stderr
    assert counting.sent.total() == 0
    assert path.read_text() == rows(1)


def of_another_version(journal: Path) -> None:
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda journal: journal.write_bytes(b"x" * 5_000), "not an SQLite file"),
        (of_another_version, "Use the version that made it"),
        pytest.param(lambda journal: journal.chmod(0o444), "it cannot be written. Make the file", marks=UNIX),
    ],
    ids=["text", "version", "mode"],
)
def test_a_journal_that_cannot_be_used(cli: Any, counting: Any, harm: Any, told: str) -> None:
    """A journal that exists knows what was sent. If it cannot be used, no way to send without it is offered."""
    with TemporaryDirectory() as name:
        # Not in pytest's folder, which is for its owner only.
        folder = Path(name)
        path, journal = folder / "campaign.csv", folder / "campaign.csv.journal"
        path.write_text(rows(1, 2))
        assert cli.run("send", path).exit_code == 0
        folder.chmod(0o777)
        journal.chmod(0o666)
        harm(journal)
        with without_rights():
            result = cli.run("send", path)
    assert result.exit_code == 2, result.stderr
    assert told in result.stderr
    assert "knows what was sent" in result.stderr
    assert "sends everything again" in result.stderr
    assert not [word for word in ("--no-journal", "--journal", "another") if word in result.stderr], result.stderr
    assert counting.sent.total() == 2


@UNIX
def test_a_read_only_folder(cli: Any, counting: Any) -> None:
    """In a read-only folder the command exits with 2 and names two alternatives, and both work."""
    # Whatever is loaded late is loaded here, while every file may be read.
    assert cli.run("send", cli.file(rows(9)), "--campaign", "c").exit_code == 0
    with TemporaryDirectory() as name, no_rights_in(Path(name)):
        path = Path(name, "campaign.csv")
        result = cli.run("send", path)
        assert result.exit_code == 2
        assert "--journal PATH" in result.stderr
        assert "--no-journal" in result.stderr
        assert counting.sent.total() == 1
        with TemporaryDirectory() as other:
            assert cli.run("send", path, "--journal", Path(other, "j")).exit_code == 0
        assert cli.run("send", path, "--no-journal").exit_code == 0
        assert [each.name for each in Path(name).iterdir()] == ["campaign.csv"]


@contextmanager
def no_rights_in(folder: Path) -> Iterator[None]:
    """A folder with a file that may be read, and nothing that may be written."""
    (folder / "campaign.csv").write_text(rows(1))
    folder.chmod(0o555)
    try:
        with without_rights():
            yield
    finally:
        folder.chmod(0o755)


@contextmanager
def without_rights() -> Iterator[None]:
    """Modes do not bind root, so the rest is done as another user."""
    user = 0 if sys.platform == "win32" else os.geteuid()
    if sys.platform != "win32" and user == 0:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if sys.platform != "win32":
            os.seteuid(user)


def test_a_file_that_cannot_be_used_gets_no_journal(cli: Any, counting: Any) -> None:
    """A usage error leaves no journal behind."""
    path = cli.file("sender,to,text,schedule_time\nMyCompany,79000000001,x,red\n")
    assert cli.run("send", path).exit_code == 2
    assert cli.run("send", cli.file(rows(1), "b.csv"), "--validity", "300000").exit_code == 2
    assert not list(cli.folder.glob("*.journal"))


@pytest.mark.parametrize("case", ["header only", "empty", "output exists", "output is the input", "no folder"])
def test_what_ends_in_2_leaves_nothing(cli: Any, counting: Any, case: str) -> None:
    """Everything that can be refused is, before a journal is made and a campaign is said to begin."""
    path, output = cli.file({"header only": HEADER, "empty": ""}.get(case, rows(1))), cli.folder / "results.csv"
    arguments: dict[str, list[Any]] = {
        "output exists": ["--output", output],
        "output is the input": ["--output", path, "--overwrite"],
        "no folder": ["--output", cli.folder / "absent" / "results.csv"],
    }
    if case == "output exists":
        output.write_text("a record")
    before = {each: each.read_text() for each in cli.folder.iterdir()}
    result = cli.run("send", path, *arguments.get(case, []))
    assert result.exit_code == 2
    assert "begins" not in result.stderr
    assert ("nothing to send" in result.stderr) == (case in {"header only", "empty"})
    assert {each: each.read_text() for each in cli.folder.iterdir()} == before
    assert counting.sent.total() == 0


@UNIX
def test_an_output_that_cannot_be_written(cli: Any, counting: Any) -> None:
    """A folder that does not let the results in is found out before there is a campaign."""
    assert cli.run("send", cli.file(rows(9)), "--campaign", "c").exit_code == 0
    with TemporaryDirectory() as name, no_rights_in(Path(name)), TemporaryDirectory() as other:
        place = Path(other, "j")
        result = cli.run("send", Path(name, "campaign.csv"), "--journal", place, "--output", Path(name, "r.csv"))
        assert result.exit_code == 2
        assert "cannot write" in result.stderr
        assert not place.exists()
        assert counting.sent.total() == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (HEADER, "nothing to send"),
        ("", "nothing to send"),
        ("sender,mobil,text\nMyCompany,79000000001,x\n", "column"),
        ("sender,to,to,text\nMyCompany,79000000001,79000000002,x\n", "column"),
    ],
    ids=["no rows", "empty", "no recipient", "two recipients"],
)
@pytest.mark.parametrize("exists", [False, True])
def test_a_pipe_that_cannot_be_sent(cli: Any, counting: Any, given: str, told: str, exists: bool) -> None:
    """A pipe with a wrong header, or without rows, ends in 2. It leaves no journal, and no campaign in one."""
    place = cli.folder / "j"
    command = ["send", "-", "--journal", place, "--campaign"]
    if exists:
        assert cli.run(*command, "earlier", given=rows(1)).exit_code == 0
    for arguments in ([*command, "c", "--output", cli.folder / "r.csv"], ["send", "-"]):
        result = cli.run(*arguments, given=given)
        assert result.exit_code == 2
        assert told in result.stderr
    assert {each.name for each in cli.folder.iterdir()} == ({"j"} if exists else set())
    if exists:
        [campaign] = cli.lines(cli.run("campaign", "list", "--journal", place, "--json").stdout)
        assert campaign["name"] == "earlier"


def test_invalid_rows_were_not_sent(cli: Any, counting: Any) -> None:
    """It is not said that all rows were sent if some are no messages."""
    path = cli.file(rows(1, 2) + "MyCompany,oops,x\n")
    assert cli.run("send", path).exit_code == 1
    assert "all 2 valid rows were sent" in cli.run("send", path).stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-", "--journal", "a.journal"], "--journal and --campaign"),
        (["-", "--campaign", "spring"], "--journal and --campaign"),
        (["-", "--only-new"], "--journal and --campaign"),
        (["campaign.csv", "--no-journal", "--campaign", "spring"], "--no-journal cannot be used"),
        (["campaign.csv", "--no-journal", "--only-new"], "--no-journal cannot be used"),
    ],
)
def test_options_that_contradict_each_other(cli: Any, counting: Any, arguments: list[str], told: str) -> None:
    """Options for a journal that are incomplete or contradict each other are a usage error."""
    result = cli.run("send", *arguments, given=rows(1))
    assert result.exit_code == 2
    assert told in result.stderr
    assert counting.sent.total() == 0


def test_standard_input(cli: Any, counting: Any) -> None:
    """Standard input has a journal if one is named. It cannot be compared first, so it must be the same as before."""
    command = ["send", "-", "--journal", cli.folder / "j", "--campaign", "spring"]
    assert cli.run(*command, given=rows(1, 2)).exit_code == 0
    assert cli.run(*command, given=rows(1, 2, 3)).exit_code == 0
    assert counting.sent.total() == 3
    changed = cli.run(*command, given=rows(4, 2, 3))
    assert changed.exit_code == 2
    assert "the campaign changed" in changed.stderr
    assert "add --only-new, or choose another name with --campaign" in changed.stderr
    assert "only_new=True" not in changed.stderr
    assert counting.sent.total() == 3
    assert cli.run(*command, "--only-new", given=rows(4, 2, 3)).exit_code == 0
    assert counting.sent.total() == 4
    assert cli.run("send", "-", given=rows(1)).exit_code == 0
    assert {each.name for each in cli.folder.iterdir()} == {"j"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs ulimit")
def test_a_full_disk(cli: Any, counting: Any) -> None:
    """A journal that can no longer be written ends the run with 3. Once there is room, no message is sent twice."""
    path = cli.file(rows(*range(4_000)))
    ended = cli.shell('ulimit -f 200; "$@"', "send", path, "--batch-size", "50")
    assert ended.returncode == 3, ended.stderr
    assert "campaign.csv.journal" in ended.stderr
    assert cli.run("send", path).exit_code in {0, 1}
    assert not counting.twice
    assert len(counting.sent) == 4_000
