"""All commands but `send` and `details`, against the real sandbox: their output and their exit statuses."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ALWAYS = ["--from", "2020-01-01", "--to", "2090-01-01T10:00:00"]
CAMPAIGN = [["campaign"], ["campaign", "list"], ["campaign", "show"], ["campaign", "export"]]
COMMANDS = [["demo"], ["send"], *CAMPAIGN, ["status"], ["details"], ["stats"], ["account"], ["listen"], ["sandbox"]]
STATS = ["stats", "--from", "2020-01-01", "--to", "2090-01-01", "--group-by", "year"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["send", "absent.csv"], "cannot read absent.csv"),
        (["send", "a.csv", "--output", "a.csv"], "--output is the input file"),
        (["send", "a.csv", "--output", "absent/b.csv"], "cannot write"),
        (["send", "colour.csv"], "the column 'schedule_time' is not a field"),
        (["send", "twice.csv"], "two columns stand for the field 'sender'"),
        (["send", "a.csv", "--format", "xml"], "'xml' is not one of"),
        (["send", "a.csv", "--validity", "300000"], "validity.is.invalid"),
        (["send", "a.csv", "--batch-size", "0"], "batch-size"),
        (["send", "a.csv", "--scheduled-time", "2030-01-01"], "time zone"),
        (["send", "a.csv", "--password", "x", "--api-key", "y"], "not both"),
        (["send", "a.csv", "--base-url", "http://example.com"], "https"),
        (["send", "a.csv", "--proxy", "socks5://user:secret@127.0.0.1:1"], "PoolOptions.proxy"),
        (["account", "--proxy", "ftp://user:secret@127.0.0.1"], "PoolOptions.proxy"),
        (["send", "a.csv", "--output", "older.csv"], "older.csv exists and may be the only record; --overwrite"),
        (["details", "--task-id", "1", "--output", "older.csv"], "older.csv exists"),
        (["details", "--task-id", "1", "--output", "older.csv", "--offset", "3"], "older.csv exists"),
        (["details", "--task-id", "1", "--time-zone", "Moscow"], "must be an IANA name, such as Europe/Moscow"),
        (["status"], "give ids"),
        (["status", "1.5"], "letters or digits"),
        (["details", "--task-id", "1", "--output", "absent/b.csv"], "cannot write"),
        (["details", "--task-id", "1", "--message-id", "2"], "combination"),
        (["details", "--task-id", "1", "--field", "COLOUR"], "outFields"),
        (["stats", "--from", "yesterday", "--to", "2026-01-01"], "YYYY-MM-DD"),
        (["stats", "--from", "2026-01-02", "--to", "2026-01-01"], "endDate"),
        (["sandbox", "--port", "0", "--database", "absent/a.db"], "cannot use the database"),
        (["sandbox", "--port", "0", "--host", "203.0.113.1"], "cannot listen on 203.0.113.1:0"),
        (["demo", "--messages", "0"], "messages"),
        (["nonsense"], "No such command"),
    ],
)
def test_usage_errors(cli: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str) -> None:
    """Usage and configuration errors name the mistake, end in 2, and send nothing."""
    monkeypatch.chdir(cli.folder)
    cli.file(name="a.csv")
    cli.file("sender,to,text,schedule_time\nMyCompany,79000000001,x,red\n", "colour.csv")
    cli.file("sender,from,to,text\nMyCompany,Other,79000000001,x\n", "twice.csv")
    older = cli.file("older", "older.csv")
    result = cli.run(*arguments)
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert "79000000001" not in result.stderr
    assert "secret" not in result.stderr
    assert older.read_text() == "older"


def test_no_credentials(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials every command that needs them says which to set, and ends in 2. Older results stay."""
    monkeypatch.delenv("DEVINO_API_KEY")
    older = cli.file("older", "older.csv")
    output = ["--output", older]
    for arguments in (
        ["account"],
        ["status", "1"],
        ["send", cli.file(), *output],
        STATS,
        ["details", *ALWAYS, *output],
    ):
        result = cli.run(*arguments)
        assert result.exit_code == 2
        assert "DEVINO_API_KEY" in result.stderr
    assert older.read_text() == "older"


def test_a_password_can_stay_off_the_command_line(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of login and password, one may be an option and the other in the environment."""
    monkeypatch.setenv("DEVINO_PASSWORD", "secret")
    assert cli.run("account", "--login", "user").exit_code == 0


def test_a_refused_key(cli: Any, guarded_url: str) -> None:
    """A call that the service refuses ends in 3 and does not show the key."""
    for command in (["account"], ["status", "1"], ["details", "--task-id", "1"], STATS):
        result = cli.run(*command, "--base-url", guarded_url)
        assert result.exit_code == 3, result.output
        assert "HTTP 401" in result.stderr
        assert "any-key" not in result.output
        assert "Traceback" not in result.stderr


def test_status(cli: Any) -> None:
    """Each status is a line. Ids may come from standard input or a file, and unknown ones are named on stderr."""
    ids = cli.sent()
    for arguments, given in (
        (["-", "5"], "\n".join(ids)),
        (["5", "--file", cli.file("\ufeff" + "\n".join(ids))], None),
    ):
        result = cli.run("status", *arguments, "--json", given=given)
        assert result.exit_code == 0
        assert [row["message_id"] for row in cli.lines(result.stdout)] == ids
        assert "5: the service does not know this id" in result.stderr
    assert ids[0] in cli.run("status", ids[0]).stdout


@pytest.mark.parametrize("command", [["details", "--task-id", "1"], STATS, ["status", "1"]])
def test_a_time_zone(cli: Any, command: list[str]) -> None:
    """--time-zone names the zone of the dates in every command that reads or shows some."""
    assert cli.run(*command, "--time-zone", "Europe/Moscow").exit_code == 0
    assert "--time-zone" in cli.run(command[0], "--help").stdout


def test_dates_have_the_zone(cli: Any) -> None:
    """With --time-zone the dates that are shown have its offset."""
    [first, _] = cli.sent()
    [row] = cli.lines(cli.run("status", first, "--time-zone", "Asia/Yekaterinburg", "--json").stdout)
    assert row["status_date_time"].endswith("+05:00")


def test_stats(cli: Any) -> None:
    """Statistics are a line for each status and period."""
    cli.sent()
    rows = cli.lines(cli.run(*STATS, "--json").stdout)
    assert sum(row["messages"] for row in rows) >= 2
    assert all(row["segments"] >= row["messages"] for row in rows)
    head, *lines = cli.run(*STATS).stdout.splitlines()
    # Statuses change meanwhile, so there may be more lines or fewer.
    assert lines
    assert "segments" in head


def test_account(cli: Any) -> None:
    """The account comes as lines of names and values, or as JSON with exact amounts."""
    assert "balance" in cli.run("account").stdout
    [row] = cli.lines(cli.run("account", "--json").stdout)
    assert isinstance(row["balance"], str)


def test_demo(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo needs no account and no terminal, and its counts agree."""
    monkeypatch.delenv("DEVINO_API_KEY")
    monkeypatch.delenv("DEVINO_BASE_URL")
    result = cli.run("demo", "--messages", "2000", "--json")
    assert result.exit_code == 0, result.output
    [summary] = cli.lines(result.stdout)
    assert summary["outcomes"] == {"accepted": 1996, "rejected": 4, "not_sent": 0, "unconfirmed": 0}
    assert sum(summary["statuses"].values()) == 1996
    assert summary["statuses"]["UNDELIVERABLE"] == summary["statuses"]["EXPIRED"] == 2
    assert summary["statistics"] == summary["statuses"]
    assert (summary["killed_after"], summary["twice"]) == (1_000, 0)


def test_demo_for_people(cli: Any) -> None:
    """The demo ends with a table of all kinds of outcome and with what to try next."""
    result = cli.run("demo", "--messages", "1000")
    assert result.exit_code == 0, result.output
    words = ("accepted", "rejected", "not sent", "unconfirmed", "DELIVERED", "UNDELIVERABLE", "EXPIRED", "Next:")
    assert "killed after 500 messages and run again: 0 sent twice, 0 lost" in result.stdout
    assert all(word in result.stdout for word in words)


def test_a_reader_that_has_seen_enough(cli: Any) -> None:
    """Output whose reader is gone, as with `| head`, ends without a complaint."""
    text = "sender,to,text\n" + "".join(f"MyCompany,7900{number:07},{'x' * 60}\n" for number in range(2_000))
    assert cli.run("send", cli.file(text)).exit_code == 0
    process = cli.start("details", *ALWAYS, "--json")
    assert process.stdout.readline()
    process.stdout.close()
    assert process.end() == (0, "")


@pytest.mark.parametrize("command", [[], *COMMANDS])
def test_help(cli: Any, command: list[str]) -> None:
    """Every command has help with an example, and names the environment where it has options for credentials."""
    result = cli.run(*command, "--help")
    assert result.exit_code == 0
    assert "Example: devino" in result.stdout
    assert ("--api-key" in result.stdout) == ("$DEVINO_API_KEY" in result.stdout)


@pytest.mark.parametrize("command", [[], *COMMANDS])
def test_help_is_fast(command: list[str]) -> None:
    """Help loads no network library. Without a command it loads no event loop either."""
    heavy = {"aiohttp", "cattrs", "rich.console"} | (set() if command else {"asyncio", "attrs"})
    program = (
        f"import sys; from devino_async.cli import devino; devino({[*command, '--help']!r}, standalone_mode=False); "
        f"assert not {heavy!r} & set(sys.modules), {heavy!r} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.DEVNULL, timeout=60)


def test_commands_in_the_order_of_use(cli: Any) -> None:
    """The group lists its commands in the order in which a user needs them."""
    listed = cli.run("--help").stdout.partition("Commands:")[2]
    names = re.findall(r"^  (\w+)  +\S", listed, re.MULTILINE)
    assert names == ["demo", "send", "check", "campaign", "status", "details", "stats", "account", "listen", "sandbox"]


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra(tmp_path: Path, missing: str) -> None:
    """Without click or rich, one line names the pip command, and it ends in 2."""
    (tmp_path / f"{missing}.py").write_text("raise ImportError\n")
    process = subprocess.run(
        [sys.executable, "-c", "from devino_async.__main__ import main; main()"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr == "the devino command needs its extra: pip install 'devino-async[cli]'\n"
