"""`devino send` with a file that is saved by an editor while it is sent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HEADER = "sender,to,text\n"


def _row(number: int) -> str:
    return f"MyCompany,7900{number:07},text {number}\n"


def _insert_at_the_top(path: Path) -> None:
    path.write_text(HEADER + "".join(map(_row, (*range(50_000, 50_100), *range(20_000)))), encoding="utf-8")


def _append(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(map(_row, range(50_000, 50_100))))


def _mend_a_row(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace("text 19000", "TEXT 19000"), encoding="utf-8")


@pytest.mark.parametrize("edit", [_insert_at_the_top, _append, _mend_a_row])
@pytest.mark.parametrize("options", [[], ["--no-journal"]], ids=["journal", "none"])
def test_a_file_that_is_edited_while_it_is_sent(
    cli: Any, counting: Any, edit: Callable[[Path], None], options: list[str]
) -> None:
    """If a file changes while it is sent, nothing that is read after that is sent. The same command sends the rest."""
    path, output = cli.file(HEADER + "".join(map(_row, range(20_000)))), cli.folder / "results.csv"
    command = ["send", path, "--output", output, "--batch-size", "100", "--in-flight", "1", *options]
    counting.answers = 1
    process = cli.start(*command)
    counting.wait_until_held(1)
    edit(path)
    counting.answer_all()
    status, told = process.end()
    assert status == 3, told
    assert "the file changed while it was sent, so reading has stopped" in told
    assert not counting.twice
    assert 200 <= counting.sent.total() < 19_000
    lines = output.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + counting.sent.total()
    if not options:
        assert cli.run(*command).exit_code == 0
        assert not counting.twice
        assert len(counting.sent) == path.read_text(encoding="utf-8").count("\n") - 1
