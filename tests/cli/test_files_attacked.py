"""What an attack on the command line's files found: each test is a rule that was broken once."""

import os
from pathlib import Path
from typing import Any

import pytest

from devino_async.cli.approval import Approval
from devino_async.cli.continuing import JournaledRun

HEADER = "sender,to,text\n"


def rows(count: int) -> str:
    return HEADER + "".join(f"MyCompany,7900{each:07},text {each}\n" for each in range(count))


@pytest.mark.parametrize("end", ['MyCompany,79001234567,"secret\n', f"MyCompany,79001234567,{'secret' * 30_000}\n"])
@pytest.mark.parametrize("options", [[], ["--no-journal"]])
def test_nothing_is_sent_of_a_file_that_is_cut_short(cli: Any, counting: Any, end: str, options: list[str]) -> None:
    """A file whose reading will fail is not sent, not even its first rows. The mended file is sent once and whole."""
    path = cli.file(rows(2_000) + end)
    result = cli.run("send", path, *options)
    assert result.exit_code == 2
    assert "line 2,002 is not valid CSV" in result.stderr
    assert "secret" not in result.stderr
    assert not counting.sent
    path.write_text(rows(2_000), encoding="utf-8")
    assert cli.run("send", path).exit_code == 0
    assert counting.sent.total() == 2_000


def saved_anew(path: Path) -> None:
    path.write_text(rows(3), encoding="utf-8")
    os.utime(path, ns=(1, 1))


def replaced(path: Path) -> None:
    new = path.with_name("new")
    new.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    new.replace(path)


@pytest.mark.parametrize("harm", [saved_anew, replaced, Path.unlink])
@pytest.mark.parametrize("options", [[], ["--strict", "--no-journal"]])
def test_a_file_that_a_person_saves_between_check_and_sending(
    cli: Any, counting: Any, monkeypatch: pytest.MonkeyPatch, harm: Any, options: list[str]
) -> None:
    """What was checked is what is sent. If the file changes in between, nothing is sent, and the next run goes on."""
    path = cli.file(rows(5))
    owner, name = (Approval, "read") if options else (JournaledRun, "choose")
    real = getattr(owner, name)

    async def then_harmed(*given: Any, **named: Any) -> Any:
        found = await real(*given, **named)
        monkeypatch.undo()
        harm(path)
        return found

    monkeypatch.setattr(owner, name, then_harmed)
    result = cli.run("send", path, *options, "--base-url", counting.url)
    assert result.exit_code == 2
    assert "changed while it was checked. Nothing was sent" in result.stderr
    assert not counting.sent
