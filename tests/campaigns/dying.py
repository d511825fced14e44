"""Processes for tests of SQLiteJournal that die at a chosen moment, or that have lost their rights. See stores.py."""

import asyncio
import os
import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stores import ADDRESS, LATER, answer, keyed, keyed_outcome, part_of

from devino_async.campaigns import JournalFailed, SQLiteJournal

TOKEN = "t" * 16


def dies_in_schema(path: Path, statements: int) -> None:
    """Open the journal, and be killed before the given statement of SQLite."""
    left = [statements]
    connect = sqlite3.connect

    def connected(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        if args[0] != ":memory:":
            connection.set_trace_callback(_killing(left))
        return connection

    # The tables of a journal are made before any test could reach its connection.
    sqlite3.connect = connected  # type: ignore[assignment]
    asyncio.run(SQLiteJournal(path).secret())


def dies_in_settle(path: Path, statements: int) -> None:
    """Claim a part and a key, and be killed before the given statement of their settling."""

    async def main() -> None:
        journal = SQLiteJournal(path)
        run = await journal.begin("spring", ADDRESS)
        part = part_of(range(4), TOKEN)
        await journal.claim(run, part)
        await journal.claim_keys(TOKEN, ADDRESS, [keyed("order")], LATER)
        left = [statements]
        await journal._file.do(lambda connection: connection.set_trace_callback(_killing(left)))
        await asyncio.gather(
            journal.settle(run, part, *answer(range(4), "aarn")),
            journal.settle_keys(TOKEN, {"order": keyed_outcome("a")}),
        )
        await journal._file.do(lambda connection: connection.set_trace_callback(None))
        os._exit(0)

    asyncio.run(main())


def _killing(left: list[int]) -> Callable[[str], None]:
    def count(_: str) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def leaves_a_child(path: Path, child_pid: int) -> None:
    """Begin a campaign, fork a child that lives on, write its process id to the descriptor, and be killed."""

    async def main() -> None:
        journal = SQLiteJournal(path)
        run = await journal.begin("spring", ADDRESS)
        await journal.claim(run, part_of(range(2)))

    asyncio.run(main())
    if os.fork() == 0:
        # The child runs by now, so it has done what a fork does there.
        os.write(child_pid, str(os.getpid()).encode())
        os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()


def without_rights(path: Path, said: int) -> None:
    """Use the journal as a user who owns nothing, and write what was raised to a descriptor."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)

    async def main() -> str:
        journal = SQLiteJournal(path)
        try:
            await journal.begin("spring", ADDRESS)
        except JournalFailed as error:
            return str(error)
        finally:
            await journal.aclose()
        return "nothing"

    os.write(said, asyncio.run(main()).encode())


def begins_in_a_child(journal: SQLiteJournal, name: str, said: int) -> int:
    """Fork a child that begins a campaign, writes its name to the descriptor, and lives on. Returns its process id."""
    child = os.fork()
    if child == 0:
        asyncio.events._set_running_loop(None)

        async def main() -> None:
            await journal.begin(name, ADDRESS)
            os.write(said, name.encode())

        try:
            asyncio.run(main())
            signal.pause()
        finally:
            os._exit(1)
    return child


def leaves_its_file(path: Path, closes: bool) -> None:
    """Be killed when the journal no longer names a process, and its file is about to be removed."""

    async def main() -> None:
        journal = SQLiteJournal(path)
        run = await journal.begin("spring", ADDRESS)
        await journal.claim(run, part_of(range(2)))
        if closes:
            journal._claimer.remove = _killed  # type: ignore[method-assign]
            await journal.aclose()
        # Here another process finds this one dead.
        os.close(journal._claimer._descriptor or 0)
        other = SQLiteJournal(path)
        other._claimer.remove = _killed  # type: ignore[method-assign]
        await other.campaigns()

    asyncio.run(main())


def _killed(_: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
