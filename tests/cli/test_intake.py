"""The intake: what a reading that fails leaves, and a machine that has no thread or no memory for it."""

import csv
import errno
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from devino_async.campaigns import Row
from devino_async.cli.console import CommandFailed
from devino_async.cli.intake import Intake


def failing(count: int, error: Exception) -> Iterator[list[Row]]:
    """Yield some rows in runs of 100, then fail."""
    for start in range(0, count, 100):
        yield [Row(line) for line in range(start, min(start + 100, count))]
    raise error


@pytest.mark.parametrize("limit", [1, 99, 100, 101, 250, 1_000])
async def test_a_limit(limit: int) -> None:
    """Of the rows only the first are read, and no run behind them."""
    intake = Intake(failing(5_000, OSError()), limit)
    lines: list[int] = []
    while rows := await intake.next_run():
        lines += [row.line for row in rows]
    assert lines == list(range(limit))


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 2_000])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (MemoryError(), "there is not enough memory to read on"),
    ],
)
async def test_a_reading_that_fails(count: int, error: Exception, raised: str) -> None:
    """A reading that fails gives all rows before the failure and then raises it, so it never looks like the end."""
    intake = Intake(failing(count, error))
    lines: list[int] = []
    with pytest.raises((OSError, CommandFailed), match=raised):
        await intake.begin()
        while rows := await intake.next_run():
            lines += [row.line for row in rows]
    assert lines == list(range(count))
    assert not intake.stuck


def without_threads(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Have the system start no thread for an intake after this many."""
    start = threading.Thread.start
    begun: list[str] = []

    def start_or_fail(self: threading.Thread) -> None:
        if self.name == "devino-intake":
            begun.append(self.name)
            if len(begun) > after:
                raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)


def test_no_thread_at_all(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a thread to read with nothing is sent. It ends in 3 with one line, and older results stay."""
    without_threads(monkeypatch, after=0)
    older = cli.file("older", "older.csv")
    for options in ([], ["--strict"], ["--output", older, "--overwrite"]):
        result = cli.run("send", cli.file(), *options)
        assert result.exit_code == 3, result.output
        assert result.stderr == "devino: the system cannot start a thread to read the input\n"
    assert older.read_text() == "older"


def test_no_thread_in_the_middle(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a later thread cannot be started, every row that was read has its result, and it ends in 3."""
    # The first pass needs four of them.
    without_threads(monkeypatch, after=6)
    rows = "".join(f"MyCompany,7900{number:07},x\n" for number in range(5_000))
    result = cli.run("send", cli.file("sender,to,text\n" + rows), "--json", "--batch-size", "100")
    assert result.exit_code == 3, result.output
    found = cli.lines(result.stdout)
    assert [row["line"] for row in found] == list(range(2, len(found) + 2))
    assert 0 < len(found) < 5_000
    assert {row["outcome"] for row in found} == {"accepted"}
    assert f"{len(found):,} rows: {len(found):,} accepted" in result.stderr
    assert "devino: the system cannot start a thread" in result.stderr


def test_no_memory_in_the_middle(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the memory ends while the file is read, every row that was handed on has its result, and it ends in 3."""
    reader, count = csv.reader, 0

    def reader_or_fail(lines: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        # In each pass the first one finds the header. Without quotes no other checks the file as a whole. The second
        # pass sends.
        return _Short(reader(lines, **options)) if count == 4 else reader(lines, **options)

    class _Short:
        line_num = 1

        def __init__(self, rows: Any) -> None:
            self._rows = rows

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> Any:
            self.line_num = self._rows.line_num
            if self.line_num >= 700:
                raise MemoryError
            return next(self._rows)

    monkeypatch.setattr(csv, "reader", reader_or_fail)
    rows = "".join(f"MyCompany,7900{number:07},x\n" for number in range(5_000))
    result = cli.run("send", cli.file("sender,to,text\n" + rows), "--json", "--no-journal")
    assert result.exit_code == 3, result.output
    # Rows are handed on in runs of 512. Those behind the last whole run count as not read.
    assert len(cli.lines(result.stdout)) == 512
    assert "512 rows: 512 accepted" in result.stderr
    assert "devino: there is not enough memory to read on" in result.stderr
