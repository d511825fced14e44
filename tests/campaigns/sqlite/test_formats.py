"""Journals of an earlier format, and places where two processes would not see each other."""

import hashlib
import os
from pathlib import Path

import pytest
from sqlite_lab import changed, selected
from stores import ADDRESS, LATER, answer, collected, current, keyed, part_of

from devino_async.campaigns import JournalFailed, SQLiteJournal, sqlite, troubles

COLUMNS = "SELECT name FROM pragma_table_info('part') UNION ALL SELECT name FROM pragma_table_info('keyed')"


async def test_the_first_format(path: Path) -> None:
    """A journal of format 1 is brought to this one: its campaign goes on, and no key or message is lost."""
    async with SQLiteJournal(path) as journal:
        run = await journal.begin("spring", ADDRESS)
        part = part_of(range(3))
        await journal.claim(run, part)
        await journal.settle(run, part, *answer(range(3), "auu"))
        await journal.claim_keys("1", ADDRESS, [keyed("order")], LATER)
        columns = await selected(journal, COLUMNS)
    changed(path, *(f"ALTER TABLE {table} DROP COLUMN scheduled" for table in ("part", "keyed")))
    changed(path, "DROP INDEX keyed_planned", "ALTER TABLE meta DROP COLUMN pruned")
    changed(path, "PRAGMA user_version = 1")
    async with SQLiteJournal(path) as journal:
        assert sorted(await selected(journal, COLUMNS)) == sorted(columns)
        assert await selected(journal, "SELECT 1 FROM sqlite_schema WHERE name = 'keyed_planned'")
        assert await selected(journal, "SELECT pruned FROM meta") == [(0,)]
        run = await journal.begin("spring", ADDRESS)
        await journal.claim(run, part_of(range(3, 5)))
        assert current(await journal.records("spring", 0, 9)) == dict(enumerate("auucc"))
        assert not await journal.claim_keys("2", ADDRESS, [keyed("other")], LATER)
        assert [each.key for each in await collected(journal, "keys")] == ["order", "other"]


def test_another_schema_is_another_format() -> None:
    """A change of the tables needs a new format number. Otherwise an older file fails in the middle of a run."""
    found = hashlib.sha256("\n".join(sqlite._SCHEMA).encode()).hexdigest()[:16]
    assert (sqlite.VERSION, found) == (2, "50a8f3a59ca245a7")


@pytest.mark.parametrize("letter", ["j", "ж"])
async def test_a_long_name(tmp_path: Path, letter: str) -> None:
    """A name that is too long for the files beside a journal is refused at opening. The longest one can be used."""
    name = letter * (238 // len(letter.encode()))
    with pytest.raises(JournalFailed, match=r"too long.* up to 238 bytes"):
        await SQLiteJournal(tmp_path / f"{name}x").campaigns()
    assert list(tmp_path.iterdir()) == []
    async with SQLiteJournal(tmp_path / name) as journal:
        run = await journal.begin("spring", ADDRESS)
        await journal.claim(run, part_of(range(3)))
        assert max(len(each.name.encode()) for each in tmp_path.iterdir()) == 255


async def test_a_second_name(path: Path) -> None:
    """A journal with two names is refused by each of them, also while it is open by the first. One name is enough."""
    async with SQLiteJournal(path) as journal:
        run = await journal.begin("spring", ADDRESS)
        other = path.with_name("second name")
        os.link(path, other)
        for each in (path, other):
            with pytest.raises(JournalFailed, match=r"names \(hard links\).*Delete all names but one.*samefile"):
                await SQLiteJournal(each).campaigns()
        assert sorted(each.name for each in path.parent.iterdir() if each.name.startswith(other.name)) == [other.name]
        await journal.claim(run, part_of(range(3)))
    other.unlink()
    async with SQLiteJournal(path) as journal:
        assert (await journal.campaigns())[0].unconfirmed == 3


async def test_a_mounted_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that is mounted without its folder is refused: a container would take its log with it."""
    mounts = path.parent / "mountinfo"
    monkeypatch.setattr(troubles, "_MOUNTS", str(mounts))
    mounts.write_text(f"22 1 254:0 / / rw - ext4 /dev/vda rw\n30 22 254:0 /a {path.resolve()} rw - ext4 /dev/vda rw\n")
    with pytest.raises(JournalFailed, match=r"mounted as a single file.*Mount the folder"):
        await SQLiteJournal(path).campaigns()
    assert not path.exists()
    mounts.write_text(f"30 22 254:0 /a {path.parent.resolve()} rw - ext4 /dev/vda rw\n")
    async with SQLiteJournal(path) as journal:
        assert await journal.campaigns() == ()
