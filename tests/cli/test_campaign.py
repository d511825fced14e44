"""`devino campaign list|show|export`: what they tell of campaigns that `devino send` left in journals."""

import csv
import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("in_its_folder")


def test_list(cli: Any, finished: str) -> None:
    """It lists each campaign with its counts."""
    cli.file("sender,to,text\nMyCompany,79000000001,x\n", "other.csv")
    assert cli.run("send", "other.csv", "--campaign", "other").exit_code == 0
    result = cli.run("campaign", "list")
    assert result.exit_code == 0
    [head, first, second] = result.stdout.splitlines()
    assert head.split() == ["campaign", "messages", "accepted", "in", "doubt", "to", "send", "state"]
    assert first.split() == [finished, "300", "270", "0", "0", "finished"]
    assert second.split() == ["other", "1", "1", "0", "0", "finished"]
    listed = cli.lines(cli.run("campaign", "list", "--json").stdout)
    assert [(each["name"], each["accepted"], each["finished"]) for each in listed] == [
        (finished, 270, True),
        ("other", 1, True),
    ]
    [only] = cli.lines(cli.run("campaign", "list", "other.csv", "--json").stdout)
    assert (only["name"], only["journal"], only["path"]) == ("other", "other.csv.journal", "other.csv")


def test_show(cli: Any, finished: str) -> None:
    """One screen tells what happened, with the reasons of rejections, and that nothing is left to do."""
    for name in ([], [finished], ["campaign.csv"]):
        result = cli.run("campaign", "show", *name)
        assert result.exit_code == 0
        lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
        assert lines[0] == f"Campaign {finished}: finished"
        assert {"messages 300", "accepted 270", "file campaign.csv", "journal campaign.csv.journal"} <= set(lines)
        assert "rejected 30 the service refused them" in lines
        assert "30 of them: from: not.available (no such sender)" in lines
        assert lines[-1].startswith("Nothing is left to do.")
        assert lines[-2] == f"devino campaign reopen {finished} --journal campaign.csv.journal"
        assert "7900" not in result.stdout
    [shown] = cli.lines(cli.run("campaign", "show", "--json").stdout)
    assert (shown["messages"], shown["accepted"], shown["rejected"], shown["finished"]) == (300, 270, 30, True)


@pytest.mark.parametrize(("place", "shown"), [("messages[#]", ""), ("messages[#].from", "from: ")])
def test_rejections_for_one_reason(cli: Any, counting: Any, place: str, shown: str) -> None:
    """The place of a message in its request does not make its reason another one, wherever the service names it."""
    counting.refusal = {"key": "billing.error", "ref": place, "defaultMessage": "no contract"}
    cli.file("sender,to,text\n" + "".join(f"Unknown,7900000000{number},x\n" for number in range(5)))
    assert cli.run("send", "campaign.csv").exit_code == 1
    assert f"5  of them: {shown}billing.error (no contract)" in cli.run("campaign", "show").stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_show_after_a_kill(cli: Any, counting: Any, killed: None) -> None:
    """After a kill it tells at once what is in doubt, and which command continues. That command works."""
    result = cli.run("campaign", "show", "campaign.csv")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0].endswith(": stopped")
    assert {"messages 200", "accepted 90"} <= set(lines)
    assert any(line.startswith("unconfirmed 100 they may have been sent") for line in lines)
    assert any(line.startswith("In doubt: 100.") for line in lines)
    assert lines[-2] == "Run the same command again to send what was not sent, and nothing twice:"
    assert lines[-1] == "devino send campaign.csv, with the same options as before"
    assert "results r.csv" in lines
    assert "The same command writes their lines and numbers into r.csv, with the outcome unconfirmed." in lines
    [export] = [line for line in lines if line.startswith("devino campaign export")]
    places = cli.lines(cli.run(*export.split()[1:], "--json").stdout)
    assert [each["position"] for each in places] == list(range(100, 200))
    assert cli.run(*lines[-1].partition(",")[0].split()[1:]).exit_code == 1
    assert counting.sent.total() == 300
    shown = cli.run("campaign", "show").stdout
    assert shown.startswith(f"Campaign campaign.csv@{counting.url[7:]}: in doubt")
    assert "The same command writes their lines" in shown
    assert cli.run("send", "campaign.csv", "--output", "r.csv").exit_code == 1
    assert "Their lines and numbers are in r.csv" in cli.run("campaign", "show").stdout
    assert Path("r.csv").read_text().count(",unconfirmed,") == 100


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_show_without_results(cli: Any, counting: Any, rows: str) -> None:
    """If the results were not written, it says how to get the lines and numbers of what is in doubt."""
    counting.answers = 0
    process = cli.start("send", cli.file(rows))
    counting.wait_until_held(1)
    process.signal(signal.SIGKILL)
    process.end()
    counting.answer_all()
    assert "Run the same command again with --output FILE" in cli.run("campaign", "show").stdout
    assert cli.run("send", "campaign.csv", "--output", "r.csv").exit_code == 1
    assert Path("r.csv").read_text().count(",unconfirmed,") == 300
    assert counting.sent.total() == 300


@pytest.mark.skipif(sys.platform == "win32", reason="needs the modes of Unix")
def test_a_read_only_folder(cli: Any, finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the journal cannot be written, it is said how to look at it, and no way to send without it is offered."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as other:
        for name in ("campaign.csv", "campaign.csv.journal"):
            Path(folder, name).write_bytes(Path(name).read_bytes())
        Path(folder, "campaign.csv.journal").chmod(0o444)
        Path(folder).chmod(0o555)
        monkeypatch.chdir(folder)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65_534)
        try:
            for verb in ("list", "show", "export"):
                for arguments in ([], ["campaign.csv"], ["--journal", "campaign.csv.journal"]):
                    result = cli.run("campaign", verb, *arguments)
                    assert result.exit_code == 3, result.stderr
                    assert "copy it to a folder that can be written" in result.stderr
                    assert "no-journal" not in result.stderr
        finally:
            os.seteuid(user)
        copy = Path(other, "copy.journal")
        copy.write_bytes(Path("campaign.csv.journal").read_bytes())
        assert finished in cli.run("campaign", "list", "--journal", copy).stdout
        monkeypatch.chdir(cli.folder)


def test_list_of_one(cli: Any, finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds a campaign by its name too. One that is not there is a usage error."""
    for arguments in (["absent"], ["absent.csv"], ["absent", "--journal", "campaign.csv.journal"]):
        result = cli.run("campaign", "list", *arguments)
        assert result.exit_code == 2
        assert finished in result.stderr
        assert not result.stdout
    for arguments in ([finished], ["campaign.csv"], [finished, "--journal", "campaign.csv.journal"]):
        assert finished in cli.run("campaign", "list", *arguments).stdout
    monkeypatch.setenv("DEVINO_JOURNAL", "campaign.csv.journal")
    assert finished in cli.run("campaign", "list", "campaign.csv").stdout
    assert cli.run("campaign", "list", "other.csv").exit_code == 2


def test_an_empty_file(cli: Any) -> None:
    """A file without content has no campaigns, and it is not made a journal."""
    cli.file("", "empty.journal")
    for arguments in ([], ["--journal", "empty.journal"]):
        result = cli.run("campaign", "list", *arguments, "--json")
        assert (result.exit_code, result.stdout) == (0, "")
    assert Path("empty.journal").stat().st_size == 0


def test_only_foreign_files(cli: Any) -> None:
    """If no journal here can be used, the status says so."""
    cli.file("not a journal at all\n" * 100, "foreign.journal")
    result = cli.run("campaign", "list")
    assert result.exit_code == 3
    assert "foreign.journal" in result.stderr


def test_the_command_names_what_is_not_usual(cli: Any, guarded_url: str, rows: str) -> None:
    """If the journal or the name is not the default one, the command to continue includes it."""
    cli.file(rows)
    arguments = ["--journal", "my journal", "--campaign", "spring sale"]
    cli.run("send", "campaign.csv", *arguments, "--base-url", guarded_url, "--api-key", "wrong")
    last = cli.run("campaign", "show", "--journal", "my journal").stdout.splitlines()[-1]
    assert last.strip().startswith("devino send campaign.csv --journal 'my journal' --campaign 'spring sale'")


def test_export(cli: Any, finished: str) -> None:
    """Every message has a row with its place, its state, and its id or the reasons. No number and no text is in it."""
    result = cli.run("campaign", "export", finished)
    assert result.exit_code == 0
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [int(each["position"]) for each in rows] == list(range(300))
    assert [each["state"] for each in rows] == (["accepted"] * 9 + ["rejected"]) * 30
    assert rows[0]["message_id"] == "179000000000"
    assert "not.available" in rows[9]["reasons"]
    assert "secret words" not in result.stdout
    lines = cli.lines(cli.run("campaign", "export", "--json", "--state", "rejected").stdout)
    assert [each["position"] for each in lines] == list(range(9, 300, 10))


def test_the_help_says_what_a_journal_holds(cli: Any) -> None:
    """Exported rows hold no numbers and texts, and it is not hidden that the journal does."""
    for command in (["campaign", "export"], ["send"]):
        told = " ".join(cli.run(*command, "--help").stdout.split())
        assert "holds the phone numbers and texts of messages in doubt or unsent" in told


@pytest.mark.parametrize("output", ["out.csv", "out.jsonl"])
def test_export_into_a_file(cli: Any, finished: str, output: str) -> None:
    """The form follows the suffix, and a file that exists is refused without --overwrite."""
    assert cli.run("campaign", "export", "--output", output).exit_code == 0
    text = Path(output).read_text()
    assert text.startswith("position," if output.endswith(".csv") else '{"position": 0')
    assert cli.run("campaign", "export", "--output", output).exit_code == 2
    assert Path(output).read_text() == text
    assert cli.run("campaign", "export", "--output", output, "--overwrite").exit_code == 0


def test_where_it_looks(cli: Any, finished: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks into --journal, else the environment, else the journal of the file, else all journals here."""
    cli.file("not a journal at all\n" * 100, "foreign.journal")
    result = cli.run("campaign", "list")
    assert result.exit_code == 0
    assert finished in result.stdout
    assert "foreign.journal" in result.stderr
    assert cli.run("campaign", "list", "--journal", "foreign.journal").exit_code == 3
    monkeypatch.setenv("DEVINO_JOURNAL", "absent.journal")
    assert cli.run("campaign", "list").exit_code == 2
    assert finished in cli.run("campaign", "list", "--journal", "campaign.csv.journal").stdout
    monkeypatch.delenv("DEVINO_JOURNAL")
    (cli.folder / "elsewhere").mkdir()
    monkeypatch.chdir(cli.folder / "elsewhere")
    shown = cli.run("campaign", "show", "../campaign.csv").stdout
    assert "  ../campaign.csv\n" in shown.replace("file        ", "")
    nothing = cli.run("campaign", "list")
    assert nothing.exit_code == 2
    assert "there is no journal here" in nothing.stderr
    assert not list(Path().iterdir())


def test_a_campaign_that_is_not_there(cli: Any, finished: str) -> None:
    """A name that no journal has is a usage error that names the campaigns here."""
    result = cli.run("campaign", "show", "absent")
    assert result.exit_code == 2
    assert finished in result.stderr
    cli.run("send", "campaign.csv", "--campaign", "second")
    result = cli.run("campaign", "show")
    assert result.exit_code == 2
    assert "give a name" in result.stderr
    result = cli.run("campaign", "show", "campaign.csv")
    assert result.stdout.startswith("Campaign second: finished")
    assert finished in result.stderr
