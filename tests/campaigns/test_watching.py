"""JournalView: a journal that other processes use, seen from outside."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from loopback_service import Service

from devino_async import DevinoClient, Message
from devino_async.campaigns import JournalFailed, SQLiteJournal
from devino_async.campaigns.watching import JournalView, Missing, NotNow, Seen

pytestmark = pytest.mark.usefixtures("no_leaks")
NAME = "spring-sale"


def messages(count: int) -> Iterator[Message]:
    for number in range(count):
        yield Message(sender="MyCompany", to=f"7900{number:07}", text="secret")


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(tmp_path / "sms.journal") as made:
        yield made


@pytest.fixture
async def path(journal: SQLiteJournal, service: Service, tmp_path: Path) -> Path:
    """The journal of a finished campaign of 100 messages, which is open."""
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        await devino.send_all(messages(100), campaign=NAME, batch_size=10)
    return tmp_path / "sms.journal"


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """What the files of a folder hold, and when they were written. Readers write into the shared memory file."""
    names = sorted(each.name for each in folder.iterdir() if not each.name.endswith("-shm"))
    return {each: ((folder / each).read_bytes(), (folder / each).stat().st_mtime_ns) for each in names}


def the_only(seen: Any) -> Seen:
    [found] = seen
    assert isinstance(found, Seen)
    return found


async def test_it_follows_a_run(service: Service, journal: SQLiteJournal, tmp_path: Path) -> None:
    """Every look at a run under way sees counts that add up, as of that moment, and that a process is sending."""
    view, looks = JournalView(tmp_path / "sms.journal"), []
    async with DevinoClient("key", base_url=service.url, journal=journal) as devino:
        received = 0
        async for _ in devino.send_many(messages(500), campaign=NAME, batch_size=10):
            received += 1
            if received % 100 == 0:
                looks.append(the_only(view.look(NAME)))
                assert looks[-1].state.accepted >= received
    for before, after in pairwise(looks):
        assert before.state.accepted < after.state.accepted
    assert all(each.is_live for each in looks[:-1])
    end = the_only(view.look())
    assert (end.is_live, end.state.finished, end.state) == (False, True, (await journal.campaigns())[0])


async def test_it_writes_nothing(path: Path, journal: SQLiteJournal) -> None:
    """A look changes no file and leaves none behind, whether the journal is open elsewhere or not."""
    for close in (False, True):
        if close:
            await journal.aclose()
        before = files_of(path.parent)
        the_only(JournalView(path).look(NAME))
        assert files_of(path.parent) == before
    assert [each.name for each in path.parent.iterdir()] == ["sms.journal"]


async def test_it_leaves_the_log_of_a_killed_run(path: Path, journal: SQLiteJournal, tmp_path: Path) -> None:
    """A log that a killed process left is read, and neither moved into the file nor removed."""
    await journal.pause(NAME)
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        (killed / name).write_bytes((path.parent / name).read_bytes())
    before = files_of(killed)
    assert before[f"{path.name}-wal"][0]
    assert the_only(JournalView(killed / path.name).look(NAME)).state.paused
    assert files_of(killed) == before


async def test_a_writer_does_not_wait(path: Path) -> None:
    """A look neither waits for a transaction that is being written nor holds one up."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE campaign SET paused = 1")
        assert not the_only(JournalView(path).look(NAME)).state.paused
        writer.execute("COMMIT")
        assert the_only(JournalView(path).look(NAME)).state.paused


async def test_a_dead_process(path: Path) -> None:
    """What a process that no longer lives had in flight counts as unconfirmed. The file still has it as claimed."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO claimer VALUES ('goneaway')")
        connection.execute("UPDATE campaign SET run = 'r', claimer = 'goneaway'")
        connection.execute("UPDATE part SET claimer = 'goneaway', claimed = 10, accepted = 0 WHERE id = 1")
    seen = the_only(JournalView(path).look(NAME))
    assert (seen.is_live, seen.state.in_flight, seen.state.unconfirmed, seen.state.accepted) == (False, 0, 10, 90)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT sum(claimed), sum(unconfirmed) FROM part").fetchone() == (10, 0)


async def test_a_campaign_that_goes(path: Path, journal: SQLiteJournal) -> None:
    """A campaign that was forgotten is no longer seen, by its name or among the others."""
    await journal.forget(NAME)
    assert [*JournalView(path).look(NAME), *JournalView(path).look()] == []


async def test_a_file_that_goes(path: Path, journal: SQLiteJournal, tmp_path: Path) -> None:
    """A missing, empty or replaced journal is noticed, and one that takes its place is read."""
    await journal.aclose()
    view, aside = JournalView(path), tmp_path / "aside"
    the_only(view.look(NAME))
    path.rename(aside)
    with pytest.raises(Missing, match="missing or empty"):
        view.look(NAME)
    path.touch()
    with pytest.raises(Missing):
        view.look(NAME)
    assert not path.stat().st_size
    path.write_bytes(aside.read_bytes())
    the_only(view.look(NAME))
    assert view.was_replaced


async def test_a_busy_file(path: Path, journal: SQLiteJournal) -> None:
    """A journal that another process keeps for itself can be looked at again later."""
    await journal.aclose()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE campaign SET paused = 1")
        other.execute("COMMIT")
        with pytest.raises(NotNow, match="busy"):
            JournalView(path).look(NAME)
    the_only(JournalView(path).look(NAME))


@pytest.mark.parametrize(
    "harm",
    ["text", "PRAGMA user_version = 99", "DROP TABLE part"],
)
async def test_what_is_not_a_journal(path: Path, journal: SQLiteJournal, harm: str) -> None:
    """A file that is not a journal of this version is refused in words, and left as it is."""
    await journal.aclose()
    if harm == "text":
        path.write_bytes(b"not a journal " * 1_000)
    else:
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(harm)
    before = files_of(path.parent)
    with pytest.raises(JournalFailed, match=r"cannot be read: it is not") as caught:
        JournalView(path).look()
    assert not isinstance(caught.value, NotNow)
    assert files_of(path.parent) == before
