"""Streams that the caller closed, in real processes: found before anything is sent, and never taken by a file."""

import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs sh")

ALWAYS = ["--from", "2020-01-01", "--to", "2090-01-01"]


def count_of(cli: Any, text: str) -> int:
    """Return how many messages with this text the service has."""
    return len(cli.lines(cli.run("details", *ALWAYS, "--search", text, "--json").stdout))


@pytest.mark.parametrize("closing", ['"$@" >&-', '"$@" 1</dev/null', '"$@" >&- <&-'])
@pytest.mark.parametrize(
    "arguments",
    [
        ["send", "campaign.csv", "--json"],
        ["send", "campaign.csv", "--output", "-"],
        ["status", "1", "--file", "campaign.csv"],
        ["details", *ALWAYS],
        ["stats", *ALWAYS],
        ["account"],
        ["demo", "--messages", "5"],
        ["sandbox", "--port", "0"],
        ["listen", "--port", "0"],
    ],
    ids=" ".join,
)
def test_stdout_for_results(cli: Any, closing: str, arguments: list[str]) -> None:
    """Where results go to stdout, a stdout that cannot be written ends in 2 before anything is sent."""
    cli.file("sender,to,text\nMyCompany,79000000001,unheard\n")
    ended = cli.shell(closing, *arguments)
    assert (ended.returncode, ended.stderr) == (2, "devino: stdout is closed, so the results cannot be written\n")
    assert count_of(cli, "unheard") == 0


@pytest.mark.parametrize("closing", ['"$@" >&-', '"$@" 2>&-', '"$@" >&- 2>&-', '"$@" <&- >&- 2>&-'])
def test_results_in_a_file(cli: Any, closing: str) -> None:
    """Where results go to a file, closed streams lose nothing but words for people."""
    output = cli.folder / "results.csv"
    ended = cli.shell(closing, "send", cli.file(), "--output", output)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == ""
    assert output.read_text(encoding="utf-8").count("accepted") == 2
    assert cli.shell(closing, "details", *ALWAYS, "--output", cli.folder / "details.txt").returncode == 0


@pytest.mark.parametrize(("closing", "name"), [('"$@" >&-', "stdout"), ('"$@" 2>&-', "stderr")])
@pytest.mark.parametrize("command", ["send", "details"])
def test_a_closed_stream_by_name(cli: Any, closing: str, name: str, command: str) -> None:
    """A closed stream that --output names by its path ends in 2 before anything is sent."""
    if not Path("/dev/stdout").exists():
        pytest.skip("needs /dev/stdout")
    path = cli.file("sender,to,text\nMyCompany,79000000001,unheard by name\n")
    arguments = {"send": ["send", path], "details": ["details", *ALWAYS]}[command]
    ended = cli.shell(closing, *arguments, "--output", f"/dev/{name}")
    assert ended.returncode == 2
    if name == "stdout":
        assert ended.stderr == "devino: stdout is closed, so the results cannot be written\n"
    assert count_of(cli, "unheard by name") == 0


@pytest.mark.parametrize("arguments", [["send", "-"], ["status", "-"]])
def test_no_stdin(cli: Any, arguments: list[str]) -> None:
    """A closed stdin that was to be read is a usage error."""
    ended = cli.shell('"$@" <&-', *arguments)
    assert ended.returncode == 2
    assert "stdin is closed, so the input cannot be read" in ended.stderr


def test_a_closed_stderr_with_a_bad_file(cli: Any) -> None:
    """Without stderr a failure still ends in its own status, and no file takes the words."""
    assert cli.shell('"$@" 2>&-', "send", "absent.csv").returncode == 2
    rows = cli.file("sender,to,text\nMyCompany,oops,x\n")
    before = rows.read_bytes()
    assert cli.shell('"$@" 2>&-', "send", rows).returncode == 1
    assert rows.read_bytes() == before
    assert {each.name for each in cli.folder.iterdir()} == {rows.name, f"{rows.name}.journal"}
