"""Processes that share the file of a SQLiteJournal: kills at every step, forks, and signs of life."""

import asyncio
import errno
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import dying
import pytest
from sqlite_lab import bodies_of, forked
from stores import (
    ADDRESS,
    LATER,
    Process,
    SQLiteStores,
    answer,
    current,
    keyed,
    part_of,
)

from devino_async.campaigns import (
    CampaignBusy,
    JournalFailed,
    SQLiteJournal,
    State,
)

# Python 3.12 and later warn of forks in a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no such processes there")


def in_process(target: Callable[..., None], *args: Any) -> int | None:
    """Run it in a process of its own, and return how that process ended."""
    process = multiprocessing.get_context("forkserver").Process(target=target, args=args)
    process.start()
    process.join(60)
    return process.exitcode


def claimers(path: Path) -> list[Path]:
    return sorted(path.parent.glob("*.claimer"))


@needs_fork
def test_kills_while_the_tables_are_made(path: Path) -> None:
    """If a process is killed at any step of making the tables, the next one opens the file, and the secret stays."""
    kills = 0
    while True:
        kills += 1
        for left in path.parent.iterdir():
            left.unlink()
        ended = in_process(dying.dies_in_schema, path, kills)
        secrets = [asyncio.run(secret_of(path)) for _ in range(2)]
        assert len({*secrets}) == 1
        if ended == 0:
            break
    assert kills > len(_statements())


def _statements() -> list[str]:
    from devino_async.campaigns.sqlite import _SCHEMA

    return list(_SCHEMA)


async def secret_of(path: Path) -> bytes:
    async with SQLiteJournal(path) as journal:
        return await journal.secret()


@needs_fork
async def test_kills_in_the_middle_of_a_settle(tmp_path: Path) -> None:
    """If a process is killed at any step of settling, all of a part is settled, or all is in doubt. So are keys."""
    seen, kills, ended = set(), 0, None
    while ended != 0:
        kills += 1
        path = tmp_path / f"{kills}.journal"
        ended = in_process(dying.dies_in_settle, path, kills)
        async with SQLiteJournal(path) as journal:
            run = await journal.begin("spring", ADDRESS)
            marks = "".join(current(await journal.records("spring", 0, 9)).values())
            key = (await journal.find_keys(["order"]))["order"].state
            seen.add((marks, key))
            assert (await bodies_of(journal))[0] is not None
            with pytest.raises(JournalFailed):
                await journal.claim(run, part_of(range(4)))
    assert kills > 4
    assert seen <= {("uuuu", State.UNCONFIRMED), ("aarn", State.ACCEPTED), ("aarn", State.UNCONFIRMED)}
    assert len(seen) > 1


OPENS = """
import asyncio, sys
from devino_async.campaigns import SQLiteJournal

async def main():
    async with SQLiteJournal(sys.argv[1]) as journal:
        print((await journal.secret()).hex())

asyncio.run(main())
"""


def test_several_make_the_tables_at_once(path: Path) -> None:
    """Processes that create one journal at the same time all use the same one afterwards."""
    running = [
        subprocess.Popen([sys.executable, "-c", OPENS, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = {each.communicate()[0] for each in running}
    assert [each.returncode for each in running] == [0] * 4
    assert len(said) == 1


async def test_the_file_of_a_claimer(path: Path) -> None:
    """Looking makes no file of a claimer. The first claim makes one, closing removes it."""
    async with SQLiteJournal(path) as journal:
        await journal.campaigns()
        await journal.find_keys(["order"])
        assert claimers(path) == []
        run = await journal.begin("spring", ADDRESS)
        await journal.claim(run, part_of(range(2)))
        [file] = claimers(path)
        assert file.name.startswith("sms.journal.")
        assert len(file.name) == len("sms.journal.abcdefgh.claimer")
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@needs_fork
async def test_files_of_the_dead_are_removed(journal: SQLiteJournal, path: Path) -> None:
    """The file that a killed process left is removed once the journal no longer names it. Those of the living stay."""
    lives, dies = (Process(SQLiteStores(path.parent)) for _ in range(2))
    lives.call("begin", "one", ADDRESS)
    [file] = claimers(path)
    dies.call("begin", "two", ADDRESS)
    dies.kill()
    assert len(claimers(path)) == 2
    await journal.campaigns()
    assert claimers(path) == [file]
    lives.kill()


async def test_strays(journal: SQLiteJournal, other: SQLiteJournal, path: Path) -> None:
    """The file of a process that was killed before the journal named it goes at the next run. No other file does."""
    await journal.begin("spring", ADDRESS)
    with pytest.raises(CampaignBusy):
        await other.begin("spring", ADDRESS)
    living = claimers(path)
    assert len(living) == 2
    stray = path.with_name("sms.journal.abcdefgh.claimer")
    others = [
        path.with_name(each) for each in ("sms.journal.abc.claimer", "sms.journal2.abcdefgh.claimer", "a.claimer")
    ]
    for each in (stray, *others):
        each.touch()
    await journal.begin("autumn", ADDRESS)
    assert claimers(path) == sorted([*living, *others])


async def test_a_person_deletes_the_file(journal: SQLiteJournal, other: SQLiteJournal, path: Path) -> None:
    """A living process whose file was deleted makes it again at its next claim, and its run continues."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(2))
    await journal.claim(run, part)
    [file] = claimers(path)
    file.unlink()
    # Others that look meanwhile take it for dead. That leaves its claims in doubt, which is safe.
    assert (await other.campaigns())[0].unconfirmed == 2
    await journal.claim(run, part_of(range(2, 4)))
    assert claimers(path) == [file]
    with pytest.raises(CampaignBusy):
        await other.begin("spring", ADDRESS)
    await journal.settle(run, part, *answer(range(2), "aa"))
    assert current(await other.records("spring", 0, 9)) == {0: "a", 1: "a", 2: "c", 3: "c"}


async def test_a_run_taken_over_after_that(journal: SQLiteJournal, other: SQLiteJournal, path: Path) -> None:
    """If another run began meanwhile, the first one claims nothing more. A release of what is in doubt still counts."""
    run = await journal.begin("spring", ADDRESS)
    parts = [part_of(range(2)), part_of(range(2, 4))]
    for each in parts:
        await journal.claim(run, each)
    claimers(path)[0].unlink()
    again = await other.begin("spring", ADDRESS)
    with pytest.raises(CampaignBusy, match="has taken over"):
        await journal.claim(run, part_of(range(4, 6)))
    await journal.release(run, parts[0].token)
    await journal.settle(run, parts[1], *answer(range(2, 4), "aa"))
    await other.claim(again, part_of(range(2)))
    assert current(await other.records("spring", 0, 9)) == {0: "c", 1: "c", 2: "a", 3: "a"}


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
async def test_no_locks_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system cannot lock, nothing is claimed, however often it is tried, and nothing is left behind."""

    def flock(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    async with SQLiteJournal(path) as journal:
        for _ in range(2):
            with pytest.raises(JournalFailed, match=r"No locks available\. Check the disk and the folder"):
                await journal.begin("spring", ADDRESS)
        assert claimers(path) == []
        assert await journal.campaigns() == ()


async def test_other_ways_to_the_file(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a link, through a relative path, and after chdir, it is seen which processes live."""
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "linked"
    link.symlink_to(path)
    monkeypatch.chdir(tmp_path)
    async with SQLiteJournal(link) as linked, SQLiteJournal("sms.journal") as relative:
        monkeypatch.chdir("links")
        await linked.begin("one", ADDRESS)
        await relative.begin("two", ADDRESS)
        with pytest.raises(CampaignBusy):
            await relative.begin("one", ADDRESS)
        with pytest.raises(CampaignBusy):
            await linked.begin("two", ADDRESS)
        assert len(claimers(path)) == 2


async def test_a_journal_that_was_moved(path: Path, tmp_path: Path) -> None:
    """A journal that was left by a dead process and moved to another folder opens, with the claims in doubt."""
    journal = SQLiteJournal(path)
    run = await journal.begin("spring", ADDRESS)
    await journal.claim(run, part_of(range(2)))
    (tmp_path / "new").mkdir()
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(tmp_path / "new" / "a")) as copy:
        connection.backup(copy)
    async with SQLiteJournal(tmp_path / "new" / "a") as moved:
        await moved.begin("spring", ADDRESS)
        assert current(await moved.records("spring", 0, 9)) == {0: "u", 1: "u"}
    await journal.aclose()


@needs_fork
async def test_a_child_does_not_keep_its_parent_alive(journal: SQLiteJournal, path: Path) -> None:
    """A forked child that outlives its parent does not hold the parent's sign of life."""
    reading, writing = os.pipe()
    await asyncio.to_thread(forked, dying.leaves_a_child, path, writing)
    os.close(writing)
    child = int(os.read(reading, 20))
    os.close(reading)
    try:
        await journal.begin("spring", ADDRESS)
        assert current(await journal.records("spring", 0, 9)) == {0: "u", 1: "u"}
    finally:
        os.kill(child, 9)


@needs_fork
async def test_a_fork(journal: SQLiteJournal, other: SQLiteJournal) -> None:
    """A forked child is refused its parent's journal, and leaves the parent's sign of life alone."""
    await journal.begin("spring", ADDRESS)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.set_event_loop(None)
            asyncio.events._set_running_loop(None)
            asyncio.run(refused(journal))
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(CampaignBusy):
        await other.begin("spring", ADDRESS)


async def refused(journal: SQLiteJournal) -> None:
    with pytest.raises(JournalFailed, match="before the process forked; open it in each process"):
        await journal.campaigns()
    await journal.aclose()


@needs_fork
async def test_a_journal_made_before_the_forks(path: Path, other: SQLiteJournal) -> None:
    """Children that use a journal which their parent has made show a sign of life each, and one may die alone."""
    made = SQLiteJournal(path)
    reading, writing = os.pipe()
    children: list[int] = []
    try:
        for name in ("one", "two"):
            children.append(await asyncio.to_thread(dying.begins_in_a_child, made, name, writing))
            assert os.read(reading, 3) == name.encode()
        assert len(claimers(path)) == 2
        ended(children.pop(0))
        await other.begin("one", ADDRESS)
        with pytest.raises(CampaignBusy):
            await other.begin("two", ADDRESS)
    finally:
        for each in children:
            ended(each)
        os.close(reading)
        os.close(writing)


def ended(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="no such locks there")
async def test_a_sign_of_life_of_another(path: Path, other: SQLiteJournal) -> None:
    """A file whose lock another process holds is left alone."""
    await other.begin("spring", ADDRESS)
    [file] = claimers(path)
    journal = SQLiteJournal(path)
    journal._claimer.name = other._claimer.name
    with pytest.raises(JournalFailed, match="could not be locked"):
        await journal.begin("autumn", ADDRESS)
    await journal.aclose()
    assert claimers(path) == [file]


@needs_fork
@pytest.mark.parametrize("put", ["nothing", "a copy"])
async def test_a_journal_that_is_not_the_one(path: Path, put: str) -> None:
    """After a crash, a new journal or an older copy is not used in its place. The right one is."""
    copy, right = path.with_name("copy"), path.with_name("right")
    async with SQLiteJournal(path) as journal:
        await journal.campaigns()
    copy.write_bytes(path.read_bytes())
    process = Process(SQLiteStores(path.parent))
    process.call("claim", process.call("begin", "spring", ADDRESS), part_of(range(2)))
    process.kill()
    [file] = claimers(path)
    async with SQLiteJournal(path) as journal:
        await journal.secret()
    path.rename(right)
    if put == "a copy":
        path.write_bytes(copy.read_bytes())
    async with SQLiteJournal(path) as journal:
        for call in (
            journal.begin("spring", ADDRESS),
            journal.begin("spring", ADDRESS),
            journal.claim_keys("1", ADDRESS, [keyed("order")], LATER),
        ):
            with pytest.raises(
                JournalFailed, match=rf"it was replaced .*{file.name}.* Put back the right journal\. If"
            ):
                await call
        assert await journal.campaigns() == ()
    assert claimers(path) == [file]
    right.replace(path)
    async with SQLiteJournal(path) as journal:
        await journal.begin("spring", ADDRESS)
        assert current(await journal.records("spring", 0, 9)) == {0: "u", 1: "u"}
        assert file not in claimers(path)


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be deleted there")
async def test_a_journal_that_was_lost_in_use(path: Path) -> None:
    """A process that has lost its journal keeps the next one from being taken for the right one, even if it closes."""
    async with SQLiteJournal(path) as journal:
        run = await journal.begin("spring", ADDRESS)
        await journal.claim(run, part_of(range(2)))
        [file] = claimers(path)
        for each in path.parent.glob("sms.journal*"):
            if each != file:
                each.unlink()
        async with SQLiteJournal(path) as other:
            with pytest.raises(JournalFailed, match="it was replaced"):
                await other.begin("spring", ADDRESS)
    assert claimers(path) == [file]
    async with SQLiteJournal(path) as journal:
        with pytest.raises(JournalFailed, match="reconcile and delete that file"):
            await journal.begin("spring", ADDRESS)
        file.unlink()
        await journal.begin("spring", ADDRESS)


@needs_fork
@pytest.mark.parametrize("closes", [False, True])
async def test_killed_while_it_is_forgotten(path: Path, other: SQLiteJournal, closes: bool) -> None:
    """A process that is killed between leaving the journal and removing its file is no sign of a lost journal."""
    child = in_process(dying.leaves_its_file, path, closes)
    assert child == -signal.SIGKILL
    assert len(claimers(path)) == 1
    await other.begin("autumn", ADDRESS)
    assert len(claimers(path)) == 1
    assert current(await other.records("spring", 0, 9)) == {0: "u", 1: "u"}
