"""SQLiteFile at work: transactions, group commit, full disks, locked files, callers that leave, closing."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from notes import busy, insert, kept, notes, numbers

from devino_async.errors import ClientClosed
from devino_async.storage.sqlite import SQLiteFile


async def piled_up(file: SQLiteFile, *works: Callable[[sqlite3.Connection], Any]) -> list[Any]:
    """Run works whose callers come together, and return the result or the error of each."""
    await file.do(numbers)
    async with busy(file):
        callers = [asyncio.create_task(file.together(work)) for work in works]
        await asyncio.sleep(0)
    return await asyncio.gather(*callers, return_exceptions=True)


async def commits(file: SQLiteFile, statements: list[str]) -> None:
    """Note every statement that begins or ends a transaction."""
    await file.do(lambda connection: connection.set_trace_callback(statements.append))


async def test_work_and_its_result(file: SQLiteFile, path: Path) -> None:
    """Work gets the connection, its caller gets the result, and what it wrote is in the file on return."""
    assert await file.together(insert(1)) == 1
    assert kept(path) == [1]
    assert await file.do(numbers) == [1]


async def test_group_commit(file: SQLiteFile, path: Path) -> None:
    """Callers that come together share one transaction, and each gets its own result."""
    statements: list[str] = []
    await commits(file, statements)
    assert await piled_up(file, *(insert(number) for number in range(50))) == list(range(50))
    assert statements.count("BEGIN IMMEDIATE") == statements.count("COMMIT") == 1
    assert kept(path) == list(range(50))


async def test_errors_are_their_own_callers(file: SQLiteFile, path: Path) -> None:
    """Work that raises is undone as a whole, its caller gets the error, and the others lose nothing."""
    statements: list[str] = []
    await commits(file, statements)

    def half(connection: sqlite3.Connection) -> None:
        insert(10)(connection)
        insert(1)(connection)

    def stops(connection: sqlite3.Connection) -> None:
        insert(11)(connection)
        next(iter(()))

    one, broken, other, stopped, last = await piled_up(file, insert(1), half, insert(2), stops, insert(3))
    assert (one, other, last) == (1, 2, 3)
    assert isinstance(broken, sqlite3.IntegrityError)
    assert isinstance(stopped, RuntimeError)
    assert isinstance(stopped.__cause__, StopIteration)
    assert kept(path) == [1, 2, 3]
    assert statements.count("COMMIT") == 1


async def test_a_full_disk_of_the_file(file: SQLiteFile, path: Path) -> None:
    """Work for which the space is too small fails with nothing half kept, and what came together with it is kept."""
    await file.together(insert(1))
    await file.do(lambda connection: connection.execute("PRAGMA max_page_count = 8").fetchall())

    def large(connection: sqlite3.Connection) -> None:
        connection.executemany("INSERT INTO note VALUES (?, ?)", ((number, "x" * 900) for number in range(100, 900)))

    one, full, other = await piled_up(file, insert(2), large, insert(3))
    assert (one, other) == (2, 3)
    assert isinstance(full, sqlite3.OperationalError)
    assert "full" in str(full)
    assert kept(path) == [1, 2, 3]


FULL_DISK = """
import asyncio, resource, sqlite3, sys
from devino_async.errors import DevinoError
from devino_async.storage.sqlite import SQLiteFile

async def main():
    file = SQLiteFile(sys.argv[1], schema=("CREATE TABLE note (words TEXT)",), version=1, kind="x", error=DevinoError)

    def insert(connection, size=1_000):
        connection.execute("INSERT INTO note VALUES (zeroblob(?))", (size,))

    async def count():
        return await file.do(lambda connection: connection.execute("SELECT count(*) FROM note").fetchone()[0])

    await file.together(insert)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    outcomes = await asyncio.gather(
        file.together(lambda connection: insert(connection, 1_000_000)), *(file.together(insert) for _ in range(3)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], sqlite3.OperationalError), outcomes
    good = outcomes.count(None)
    assert await count() == 1 + good, outcomes
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await file.together(insert)
    assert await count() == 2 + good
    await file.aclose()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of resources there")
def test_a_disk_that_takes_no_more(path: Path) -> None:
    """Where the operating system refuses to write, the callers get the error. With space again work goes on."""
    subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], check=True)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_another_process_holds_the_file(file: SQLiteFile, path: Path) -> None:
    """Callers of a file that stays locked all get the error after one wait, not after one wait for each."""
    await file.do(lambda connection: connection.execute("PRAGMA busy_timeout = 50").fetchall())
    statements: list[str] = []
    await commits(file, statements)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes = await piled_up(file, insert(1), insert(2))
        other.execute("ROLLBACK")
    assert ["locked" in str(each) for each in outcomes] == [True, True]
    assert statements.count("BEGIN IMMEDIATE") == 1
    assert await file.together(insert(3)) == 3


@pytest.mark.parametrize("turns", range(4))
async def test_cancelled_callers(path: Path, turns: int) -> None:
    """A caller that is cancelled leaves at once. Its work, once handed over, is done, and no other is lost."""
    file = notes(path)
    async with busy(file):
        callers = [asyncio.create_task(file.together(insert(number))) for number in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
        callers[1].cancel()
        await asyncio.wait({callers[1]})
        assert callers[1].cancelled()
        assert not callers[2].done()
    assert await asyncio.gather(callers[0], callers[2]) == [0, 2]
    await file.aclose()
    assert kept(path) == ([0, 1, 2] if turns else [0, 2])


def test_an_event_loop_that_ends(path: Path) -> None:
    """Work that was begun when an event loop ended is done, and the file serves the next loop."""
    file = notes(path)
    may_end = threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        may_end.wait()
        insert(1)(connection)

    async def left_behind() -> None:
        tasks = [asyncio.create_task(file.together(slow)), asyncio.create_task(file.together(insert(2)))]
        await asyncio.wait(tasks, timeout=0)

    async def next_life() -> list[int]:
        await file.together(insert(3))
        found = await file.do(numbers)
        await file.aclose()
        return found

    asyncio.run(left_behind())
    may_end.set()
    assert asyncio.run(next_life()) == [1, 2, 3]


async def test_closing(path: Path) -> None:
    """Closing finishes what was begun, may be done twice and be cancelled, and after it calls raise ClientClosed."""
    file = notes(path)
    async with busy(file):
        callers = [asyncio.create_task(file.together(insert(number))) for number in range(3)]
        await asyncio.sleep(0)
        closing_first = asyncio.create_task(file.aclose())
        await asyncio.sleep(0)
        closing_first.cancel()
        await asyncio.wait({closing_first})
        for call in (file.do(numbers), file.together(insert(9))):
            with pytest.raises(ClientClosed, match="note store is closed"):
                await call
    await asyncio.gather(file.aclose(), file.aclose())
    assert await asyncio.gather(*callers) == [0, 1, 2]
    assert kept(path) == [0, 1, 2]
    # The last connection to close takes the write-ahead log with it.
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_a_file_that_was_never_used(path: Path) -> None:
    """Construction and closing create no file."""
    await notes(path).aclose()
    assert not path.exists()
