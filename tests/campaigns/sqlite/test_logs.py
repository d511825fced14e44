"""A write-ahead log that was cut or deleted after a crash, and copies of a journal that is in use."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stores import ADDRESS, LATER, Process, current, keyed, part_of

from devino_async.campaigns import CampaignBusy, JournalFailed, SQLiteJournal, State

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
PARTS = 12


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def used(path: Path, process: Callable[[], Process]) -> Process:
    """A process that has claimed parts and a key."""
    claiming = process()
    run = claiming.call("begin", "spring", ADDRESS)
    claiming.call("claim_keys", "token", ADDRESS, [keyed("order")], LATER)
    for start in range(0, 2 * PARTS, 2):
        claiming.call("claim", run, part_of(range(start, start + 2)))
    return claiming


async def test_a_log_that_is_cut(path: Path, process: Callable[[], Process]) -> None:
    """However a log is cut, the journal is refused, or it holds the first claims as unconfirmed and no others.

    SQLite takes what is left of a log for the whole. If the first claim of a process is lost, its .claimer file shows
    that. Later claims are lost without a trace, as the docstring of SQLiteJournal says.
    """
    used(path, process).kill()
    files = {each: each.read_bytes() for each in path.parent.iterdir()}
    log = files.pop(log_of(path))
    counts = []
    for cut in range(13):
        for each in path.parent.iterdir():
            each.unlink()
        for each, content in files.items():
            each.write_bytes(content)
        if cut:
            log_of(path).write_bytes(log[: len(log) * cut // 12])
        async with SQLiteJournal(path) as journal:
            try:
                await journal.begin("spring", ADDRESS)
            except JournalFailed as error:
                assert "reconcile" in str(error)  # noqa: PT017
                counts.append(-1)
                continue
            found = current(await journal.records("spring", 0, 2 * PARTS))
        assert found == dict.fromkeys(range(len(found)), "u")
        counts.append(len(found))
    assert counts[0] == -1
    assert counts == sorted(counts)
    assert counts[-1] == 2 * PARTS


@pytest.mark.parametrize("endings", [("", "-wal"), ("",)], ids=["with its log", "without its log"])
async def test_a_copy_of_a_journal_in_use(path: Path, process: Callable[[], Process], endings: tuple[str, ...]) -> None:
    """In a copy elsewhere, all that the living process had claimed is unconfirmed. A copy without the log is older.

    The journal itself stays as it was, because a copy has signs of life of its own.
    """
    claiming = used(path, process)
    copy = path.parent / "copy" / "sms.journal"
    copy.parent.mkdir()
    for each in endings:
        shutil.copyfile(f"{path}{each}", f"{copy}{each}")
    async with SQLiteJournal(copy) as journal:
        await journal.begin("spring", ADDRESS)
        found = current(await journal.records("spring", 0, 2 * PARTS))
        assert found == dict.fromkeys(range(len(found)), "u")
        if "-wal" in endings:
            assert len(found) == 2 * PARTS
            assert (await journal.find_keys(["order"]))["order"].state is State.UNCONFIRMED
    async with SQLiteJournal(path) as journal:
        with pytest.raises(CampaignBusy):
            await journal.begin("spring", ADDRESS)
    claiming.close()


async def test_a_copy_that_is_put_back(path: Path, process: Callable[[], Process]) -> None:
    """An older copy is refused in the place of a journal that a process has used since, if that process was killed."""
    async with SQLiteJournal(path) as journal:
        await journal.begin("earlier", ADDRESS)
    older = path.read_bytes()
    used(path, process).kill()
    log_of(path).unlink()
    path.write_bytes(older)
    async with SQLiteJournal(path) as journal:
        with pytest.raises(JournalFailed, match="replaced or has lost its last changes"):
            await journal.begin("spring", ADDRESS)
