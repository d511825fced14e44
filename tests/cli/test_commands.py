"""The devino command against the real sandbox: what it prints, what it writes, and how it ends."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from devino_async.cli import devino

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def environment(sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEVINO_BASE_URL", sandbox_url)
    monkeypatch.setenv("DEVINO_API_KEY", "any-key")
    for name in ("DEVINO_LOGIN", "DEVINO_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: Any, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(devino, [str(each) for each in arguments], input=given)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


GOOD = "sender,to,text\nMyCompany,79000000001,Привет\nMyCompany,+79000000002,Hello\n"
MIXED = (
    "sender,to,text\nMyCompany,79000000001,one\nMyCompany,oops,two\nUnknown,79000000003,three\nMyCompany,79000000004,\n"
)


def test_send_csv(tmp_path: Path) -> None:
    """Every row of a CSV gets a result in its order; all accepted ends in 0."""
    output = tmp_path / "results.csv"
    result = run("send", written(tmp_path / "a.csv", GOOD), "--output", output, "--include-segment-id")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(output.read_text(encoding="utf-8").splitlines()))
    assert [(row["line"], row["to"], row["outcome"]) for row in rows] == [
        ("2", "79000000001", "accepted"),
        ("3", "+79000000002", "accepted"),
    ]
    assert all(row["segment_ids"] == row["message_id"] for row in rows)
    assert "2 rows: 2 accepted" in result.stderr
    assert result.stdout == ""


def test_bad_rows_do_not_stop_the_good(tmp_path: Path) -> None:
    """A bad row is told with its line and reason, keeps its place in the results, and ends in 1."""
    result = run("send", written(tmp_path / "a.csv", MIXED), "--json")
    assert result.exit_code == 1
    assert [(row["line"], row["outcome"]) for row in lines(result.stdout)] == [
        (2, "accepted"),
        (3, "invalid"),
        (4, "rejected"),
        (5, "invalid"),
    ]
    assert "line 3: to: to.format.invalid" in result.stderr
    assert "line 5: text: must.be.not.null" in result.stderr
    assert "4 rows: 1 accepted, 1 rejected, 2 invalid" in result.stderr
    assert "oops" not in result.stderr


def test_strict_sends_nothing(tmp_path: Path) -> None:
    """With --strict a file with a bad row is not sent at all."""
    result = run("send", written(tmp_path / "a.csv", MIXED), "--strict", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "2 bad rows; nothing was sent" in result.stderr


def test_strict_and_good(tmp_path: Path) -> None:
    """With --strict a good file is sent as always."""
    result = run("send", written(tmp_path / "a.csv", GOOD), "--strict", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(lines(result.stdout)) == 2


def test_json_lines_from_standard_input() -> None:
    """JSON lines are told apart from CSV by their look, wire names are understood, blank lines passed over."""
    rows = [
        {"from": "MyCompany", "to": "79000000001", "text": "a", "scheduledTime": "2030-01-01T10:00:00+03:00"},
        {"sender": "MyCompany", "to": "79000000002", "text": "b", "options": {"key": "value"}, "validity": 60},
    ]
    text = "\n\n".join(json.dumps(row) for row in rows) + '\n{"to": 5}\nnonsense\n{"colour": 1}\n'
    result = run("send", "-", "--json", given=text)
    assert [row["outcome"] for row in lines(result.stdout)] == ["accepted"] * 2 + ["invalid"] * 3
    assert [row["line"] for row in lines(result.stdout)] == [1, 3, 4, 5, 6]
    assert result.exit_code == 1


def test_excel_s_csv(tmp_path: Path) -> None:
    """Semicolons, a byte order mark, quotes and line breaks in cells are as spreadsheets write them."""
    text = '\ufeffsender;to;text;options.key\r\nMyCompany;79000000001;"a;b\r\nc";v\r\nMyCompany;79000000002;d;\r\n'
    result = run("send", written(tmp_path / "a.csv", text), "--json")
    assert result.exit_code == 0, result.output
    assert [row["line"] for row in lines(result.stdout)] == [2, 4]


def test_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    """A row in another encoding is a bad row, not the end."""
    path = tmp_path / "a.csv"
    path.write_bytes(GOOD.encode() + "MyCompany,79000000003,Привет\n".encode("cp1251"))
    result = run("send", path, "--json")
    assert [row["outcome"] for row in lines(result.stdout)] == ["accepted", "accepted", "invalid"]


def test_defaults_by_options(tmp_path: Path) -> None:
    """Options fill what a row does not say."""
    path = written(tmp_path / "a.csv", "to,text\n79000000001,\n79000000002,own\n")
    options = ["--sender", "MyCompany", "--text", "for all", "--priority", "high", "--validity", "60"]
    result = run("send", path, "--json", *options)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["send", "absent.csv"], "cannot read absent.csv"),
        (["send", "a.csv", "--output", "a.csv"], "--output is the input file"),
        (["send", "colour.csv"], "unknown column 'colour'"),
        (["send", "a.csv", "--batch-size", "0"], "batch-size"),
        (["send", "a.csv", "--scheduled-time", "2030-01-01"], "time zone"),
        (["send", "a.csv", "--password", "x", "--api-key", "y"], "not both"),
        (["send", "a.csv", "--base-url", "http://example.com"], "https"),
        (["status", "1.5"], "letters or digits"),
        (["details", "--task-id", "1", "--message-id", "2"], "combination"),
        (["details", "--task-id", "1", "--field", "COLOUR"], "outFields"),
        (["stats", "--from", "yesterday", "--to", "2026-01-01"], "YYYY-MM-DD"),
        (["stats", "--from", "2026-01-02", "--to", "2026-01-01"], "endDate"),
        (["nonsense"], "No such command"),
    ],
)
def test_usage_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str) -> None:
    """Usage and configuration errors say what is wrong, end in 2, and send nothing."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a.csv", GOOD)
    written(tmp_path / "colour.csv", "sender,to,text,colour\nMyCompany,79000000001,x,red\n")
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert told in result.stderr
    assert "Traceback" not in result.stderr


def test_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without credentials every command that needs them says which to set, and ends in 2."""
    monkeypatch.delenv("DEVINO_API_KEY")
    path = written(tmp_path / "a.csv", GOOD)
    for arguments in (["account"], ["status", "1"], ["send", path], ["details", "--task-id", "1"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "DEVINO_API_KEY" in result.stderr


def test_a_refused_key(guarded_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A key that the service refuses ends in 3; what was read has its result."""
    monkeypatch.setenv("DEVINO_BASE_URL", guarded_url)
    account = run("account")
    assert account.exit_code == 3
    assert "HTTP 401" in account.stderr
    result = run("send", written(tmp_path / "a.csv", GOOD), "--json")
    assert [row["outcome"] for row in lines(result.stdout)] == ["not_sent", "not_sent"]
    assert result.exit_code == 3
    assert "sending those rows again is safe" in result.stderr
    assert "any-key" not in result.stderr + result.stdout


def sent_ids(tmp_path: Path) -> list[str]:
    result = run("send", written(tmp_path / "sent.csv", GOOD), "--json")
    return [row["message_id"] for row in lines(result.stdout)]


def test_status(tmp_path: Path) -> None:
    """Statuses come as a line each; ids from standard input too; unknown ones are named on stderr."""
    ids = sent_ids(tmp_path)
    result = run("status", "-", "5", "--json", given="\n".join(ids))
    assert result.exit_code == 0
    assert [row["message_id"] for row in lines(result.stdout)] == ids
    assert "5: the service does not know this id" in result.stderr
    assert ids[0] in run("status", ids[0]).stdout


def test_details(tmp_path: Path) -> None:
    """Detail rows come as a table, CSV or JSON lines, to stdout or a file, only as many as wanted."""
    ids = sent_ids(tmp_path)
    arguments = ["details", "--message-id", ids[0], "--message-id", ids[1]]
    table = run(*arguments)
    assert table.exit_code == 0, table.output
    assert len(table.stdout.splitlines()) == 3
    rows = lines(run(*arguments, "--json").stdout)
    assert [row["message_id"] for row in rows] == ids
    assert rows[0]["text"] == "Привет"
    assert rows[0]["price"] == "2.35"
    output = tmp_path / "details.csv"
    run(*arguments, "--format", "csv", "--output", output, "--field", "PRICE", "--field", "MESSAGE_ID")
    assert output.read_text(encoding="utf-8").splitlines() == ["price,message_id", f"2.35,{ids[0]}", f"2.35,{ids[1]}"]
    period = ["--from", "2020-01-01", "--to", "2090-01-01T10:00:00", "--order", "desc", "--order-field", "MESSAGE_ID"]
    assert len(lines(run("details", *period, "--json", "--max-rows", "1", "--page-size", "7").stdout)) == 1


def test_stats(tmp_path: Path) -> None:
    """Statistics come as a line a status and period."""
    sent_ids(tmp_path)
    arguments = ["stats", "--from", "2020-01-01", "--to", "2090-01-01", "--group-by", "year"]
    rows = lines(run(*arguments, "--json").stdout)
    assert sum(row["messages"] for row in rows) >= 2
    assert all(row["segments"] >= row["messages"] for row in rows)
    assert run(*arguments).exit_code == 0


def test_account() -> None:
    """The account comes as lines of names and values, or as JSON with exact amounts."""
    assert "balance" in run("account").stdout
    [row] = lines(run("account", "--json").stdout)
    assert isinstance(row["balance"], str)


def test_demo() -> None:
    """The demo needs no account and no terminal, and what it counts agrees."""
    result = CliRunner(env={"DEVINO_API_KEY": "", "DEVINO_BASE_URL": ""}).invoke(
        devino, ["demo", "--messages", "2000", "--json"]
    )
    assert result.exit_code == 0, result.output
    [summary] = lines(result.stdout)
    assert summary["outcomes"] == {"accepted": 1996, "rejected": 4, "not_sent": 0, "unconfirmed": 0}
    assert sum(summary["statuses"].values()) == 1996
    assert summary["statuses"]["UNDELIVERABLE"] == 2


@pytest.mark.parametrize(
    "command", [[], ["send"], ["demo"], ["status"], ["details"], ["stats"], ["account"], ["sandbox"]]
)
def test_help(command: list[str]) -> None:
    """Every command has help, with an example."""
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert not command or "Example:" in result.stdout


def started(*arguments: str, **named: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "devino_async", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
        **named,
    )


def test_ctrl_c(tmp_path: Path) -> None:
    """Ctrl-C stops reading, finishes what is in flight, writes and counts its results, and ends in 130."""
    output = tmp_path / "results.jsonl"
    process = started("send", "-", "--sender", "MyCompany", "--batch-size", "1", "--output", str(output))
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("to,text\n" + "".join(f"7900000{number:04},x\n" for number in range(1024)))
    process.stdin.flush()
    # Standard input stays open: the command can only end by being interrupted.
    until = time.monotonic() + 30
    while not output.exists() or output.stat().st_size == 0:
        assert time.monotonic() < until, "nothing was sent"
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "finishing what is in flight" in told
    rows = lines(output.read_text(encoding="utf-8"))
    assert 0 < len(rows) <= 1024
    assert f"{len(rows):,} rows: {len(rows):,} accepted" in told


def test_sandbox_command() -> None:
    """`devino sandbox` prints its address, says how to use it, and ends in 0 when it is told to."""
    process = started("sandbox", "--port", "0")
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert CliRunner(env={"DEVINO_BASE_URL": url}).invoke(devino, ["account"]).exit_code == 0
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 0
    assert f"DEVINO_BASE_URL={url}" in told


def test_a_missing_extra(tmp_path: Path) -> None:
    """Without click or rich, one line names the pip command."""
    written(tmp_path / "click.py", "raise ImportError\n")
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
