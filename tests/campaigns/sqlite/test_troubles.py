"""SQLiteJournal on a full disk, without rights, on a network, on files of other kinds, and on damaged ones."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import dying
import pytest
from sqlite_lab import changed, forked, set_on
from stores import (
    ADDRESS,
    LATER,
    Process,
    SQLiteStores,
    answer,
    collected,
    current,
    keyed,
    keyed_outcome,
    part_of,
)

from devino_async import ClientClosed
from devino_async.campaigns import (
    JournalFailed,
    SQLiteJournal,
    State,
    troubles,
)
from devino_async.campaigns.results import Results

# Python 3.12 and later warn of forks in a process with threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no such processes there")


async def test_a_full_disk(journal: SQLiteJournal, other: SQLiteJournal) -> None:
    """A claim that does not fit says what to do. A settle that failed succeeds once there is space."""
    run = await journal.begin("spring", ADDRESS)
    part, large = part_of(range(4)), part_of(range(4, 2_004))
    await journal.claim(run, part)
    await set_on(journal, "max_page_count = 1")
    with pytest.raises(JournalFailed, match=r"'sms\.journal' failed: the disk is full\. Free space and run the same"):
        await journal.claim(run, large)
    packed = answer(range(4), "aaaa", "".join(random.choices("0123456789", k=100_000)))
    with pytest.raises(JournalFailed, match="the disk is full") as raised:
        await journal.settle(run, part, *packed)
    assert raised.value.__context__ is None
    with pytest.raises(JournalFailed, match="the disk is full"):
        await journal.claim_keys("1", ADDRESS, [keyed("k" * 9_000)], LATER)
    assert current(await other.records("spring", 0, 9_999)) == dict.fromkeys(range(4), "c")
    assert await other.find_keys(["k" * 9_000]) == {}
    await set_on(journal, "max_page_count = 100000")
    await journal.settle(run, part, *packed)
    await journal.claim(run, large)
    assert (await other.campaigns())[0].accepted == 4


FULL_DISK = """
import asyncio, resource, sys
sys.path.insert(0, sys.argv[2])
from stores import ADDRESS, answer, part_of
from devino_async.campaigns import JournalFailed, SQLiteJournal

async def main():
    async with SQLiteJournal(sys.argv[1]) as journal:
        run = await journal.begin("spring", ADDRESS)
        part = part_of(range(1_000))
        await journal.claim(run, part)
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, hard))
        start, failed = 1_000, None
        while failed is None:
            try:
                await journal.claim(run, part_of(range(start, start + 1_000)))
            except JournalFailed as error:
                failed = str(error)
            start += 1_000
        assert "sms.journal" in failed and "run the same command again" in failed, failed
        try:
            await journal.settle(run, part, *answer(range(1_000), "u" * 1_000))
        except JournalFailed:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            await journal.settle(run, part, *answer(range(1_000), "u" * 1_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        [state] = await journal.campaigns()
        assert (state.unconfirmed, state.in_flight) == (1_000, start - 2_000), state

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of resources there")
def test_a_disk_that_takes_no_more(path: Path) -> None:
    """If the system refuses to write, claims stay, what failed is not recorded, and later writes work again."""
    here = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", FULL_DISK, str(path), here], check=True)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@needs_fork
@pytest.mark.parametrize("case", ["folder", "file", "new file", "empty file"])
async def test_no_right_to_write(case: str) -> None:
    """Where nothing may be written the error comes at once. It names alternatives only if no journal is there yet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "sms.journal"
        if case == "empty file":
            path.touch()
        elif case != "new file":
            async with SQLiteJournal(path) as journal:
                await journal.secret()
            path.chmod(0o444 if case == "file" else 0o666)
        folder.chmod(0o777 if case == "file" else 0o555)
        reading, writing = os.pipe()
        said = await asyncio.to_thread(in_child, path, writing, reading)
        folder.chmod(0o755)
        assert "sms.journal" in said
        if case in {"new file", "empty file"}:
            assert "cannot be written. Choose another place (devino send: --journal PATH), or do without" in said
        else:
            assert "cannot be written. Make the file and its folder writable: it knows what was sent" in said
            assert "without a journal" not in said
            assert "--journal" not in said


def in_child(path: Path, writing: int, reading: int) -> str:
    # A process started anew could not read the interpreter's files: they may belong to root alone.
    forked(dying.without_rights, path, writing)
    os.close(writing)
    with os.fdopen(reading) as answers:
        return answers.read()


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda path: path.write_bytes(b"phone,text\n" * 900), "not an SQLite file. Check that the path is right"),
        (lambda path: changed(path, "CREATE TABLE other (x)"), "other tables. Check that the path is right"),
        (lambda path: path.mkdir(), "it cannot be written. Choose another place"),
    ],
    ids=["text", "foreign", "folder"],
)
async def test_files_that_are_no_journals(path: Path, make: Callable[[Path], Any], advice: str) -> None:
    """A file that is not a journal is refused and not changed, and the error says what to do."""
    make(path)
    before = path.read_bytes() if path.is_file() else None
    journal = SQLiteJournal(path)
    for call in (journal.begin("spring", ADDRESS), journal.campaigns(), journal.find_keys(["order"])):
        with pytest.raises(JournalFailed, match=rf"sms\.journal' cannot be used as a journal: .*{advice}"):
            await call
    with pytest.raises(JournalFailed):
        async with journal:
            pass
    # It is closed, and leaves no thread behind.
    with pytest.raises(ClientClosed):
        await journal.campaigns()
    assert (path.read_bytes() if path.is_file() else None) == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_a_journal_of_another_version(path: Path) -> None:
    """A journal that a later version has made is refused unchanged, and the error says which version reads it."""
    async with SQLiteJournal(path) as journal:
        await journal.begin("spring", ADDRESS)
    changed(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(JournalFailed, match=r"it has format 99, .* reads format 2\. Use the version that made it"):
        async with SQLiteJournal(path):
            pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("names", [("spring\udcff", None), ("spring", "bad\udcff.csv")])
async def test_names_that_are_no_text(journal: SQLiteJournal, names: tuple[str, str | None]) -> None:
    """A name with bytes that are not UTF-8 is an error that says what to rename, and nothing is recorded."""
    with pytest.raises(JournalFailed, match=r"not valid text\. Rename the file that is sent, or choose another"):
        await journal.begin(names[0], ADDRESS, path=names[1])
    assert await journal.campaigns() == ()


async def test_a_missing_folder(tmp_path: Path) -> None:
    """The error says that the folder is missing, and once it is there the journal opens."""
    journal = SQLiteJournal(tmp_path / "missing" / "sms.journal")
    with pytest.raises(JournalFailed, match=r"its folder does not exist\. Create it"):
        await journal.campaigns()
    (tmp_path / "missing").mkdir()
    assert await journal.campaigns() == ()
    await journal.aclose()


async def test_another_process_holds_the_file(journal: SQLiteJournal, path: Path) -> None:
    """A file that stays locked is an error that says so, and nothing was recorded."""
    run = await journal.begin("spring", ADDRESS)
    await set_on(journal, "busy_timeout = 50")
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalFailed, match="another process has kept it locked"):
            await journal.claim(run, part_of(range(2)))
        holder.execute("ROLLBACK")
    assert await journal.recorded("spring") == 0


@pytest.mark.parametrize("column", ["marks", "results", "fingerprints", "positions", "shorter marks"])
async def test_a_damaged_record(journal: SQLiteJournal, path: Path, column: str) -> None:
    """A damaged record is an error of its campaign, never a wrong receipt. Other campaigns go on."""
    for name in ("spring", "autumn"):
        run = await journal.begin(name, ADDRESS)
        part = part_of((0, 2, 3))
        await journal.claim(run, part)
        await journal.settle(run, part, *answer(part.positions, "aru"))
        await journal.end(run, complete=True)
    with closing(sqlite3.connect(path)) as connection:
        name = column.rpartition(" ")[2]
        [blob] = connection.execute(f"SELECT {name} FROM part WHERE campaign = 1").fetchone()
        damaged = zlib.compress(b"ar") if column != name else blob[:-1] + bytes((blob[-1] ^ 1,))
        connection.execute(f"UPDATE part SET {name} = ? WHERE campaign = 1", (damaged,))
        connection.commit()
    for call in (journal.records("spring", 0, 9), collected(journal, "outcomes", "spring")):
        with pytest.raises(JournalFailed, match=r"its record of the campaign 'spring' is damaged\. Restore"):
            await call
    assert len(await journal.campaigns()) == 2
    assert [each.state for each in await collected(journal, "outcomes", "autumn")] == [
        "accepted",
        "rejected",
        "unconfirmed",
    ]


@needs_fork
async def test_a_damaged_record_of_the_dead(journal: SQLiteJournal, path: Path) -> None:
    """A damaged record of what a dead process had claimed does not keep other campaigns from beginning."""
    process = Process(SQLiteStores(path.parent))
    process.call("claim", process.call("begin", "spring", ADDRESS), part_of(range(2)))
    process.kill()
    changed(path, "UPDATE part SET marks = x'00'")
    await journal.begin("autumn", ADDRESS)
    with pytest.raises(JournalFailed, match="'spring' is damaged"):
        await journal.records("spring", 0, 2)
    assert (await journal.campaigns())[0].unconfirmed == 2


async def test_results_that_fit_no_marks(journal: SQLiteJournal, path: Path) -> None:
    """Results that were replaced by those of others are an error when outcomes or keys are listed."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(3))
    await journal.claim(run, part)
    await journal.settle(run, part, *answer(range(3), "aaa"))
    await journal.claim_keys("1", ADDRESS, [keyed("order")], LATER)
    await journal.settle_keys("1", {"order": keyed_outcome("a")})
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE part SET results = ?", (zlib.compress(answer(range(2), "aa")[1]),))
        connection.execute("UPDATE keyed SET results = NULL")
        connection.commit()
    with pytest.raises(JournalFailed, match="record of the campaign 'spring' is damaged"):
        await collected(journal, "outcomes", "spring")
    with pytest.raises(JournalFailed, match="record of keyed sends is damaged"):
        await collected(journal, "keys")


MOUNTS = """22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /mnt/share rw shared:7 master:2 - cifs //server/share rw
31 22 0:41 / /mnt/share/local rw - ext4 /dev/vdb rw
32 22 0:42 / /mnt/with\\040space rw - fuse.sshfs host: rw
33 22 0:43 / /home rw - nfs4 server:/home rw
34 33 0:44 / /home rw - xfs /dev/vdc rw
35 22 0:45 / /c rw - 9p C: rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/tmp/a.journal", None),
        ("/mnt/share/a.journal", "cifs"),
        ("/mnt/share2/a.journal", None),
        ("/mnt/share/local/deep/a.journal", None),
        ("/mnt/with space/a.journal", "fuse.sshfs"),
        ("/home/me/a.journal", None),
        ("/c/a.journal", "9p"),
    ],
)
def test_network_file_systems(path: str, kind: str | None) -> None:
    """The longest mount point decides, and of two on one point the later."""
    assert troubles.network_file_system(path, MOUNTS) == kind


async def test_a_network_file_system(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal there is refused, the error names the alternatives, and no file is made."""
    mounts = path.parent / "mountinfo"
    mounts.write_text(f"{MOUNTS}40 22 0:50 / {path.parent.resolve()} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(troubles, "_MOUNTS", str(mounts))
    journal = SQLiteJournal(path)
    with pytest.raises(
        JournalFailed, match=r"file system \(nfs4\), where locks do not work.*--journal PATH.*--no-jour"
    ):
        await journal.begin("spring", ADDRESS)
    await journal.aclose()
    assert not path.exists()
    path.write_bytes(b"moved here")
    journal = SQLiteJournal(path)
    with pytest.raises(JournalFailed, match=r"Move it to a local disk.*would send all of that again") as raised:
        await journal.begin("spring", ADDRESS)
    assert "no-journal" not in str(raised.value)
    await journal.aclose()


def _deleted(path: Path) -> None:
    path.unlink()


def _replaced(path: Path) -> None:
    path.with_name("copy").write_bytes(path.read_bytes())
    path.with_name("copy").replace(path)


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be deleted there")
@pytest.mark.parametrize(
    ("ending", "happens", "said"),
    [
        ("", _deleted, r"'sms\.journal' was deleted or moved away"),
        ("", _replaced, r"'sms\.journal' was replaced"),
        ("", _emptied, r"'sms\.journal' was emptied"),
        ("-wal", _deleted, r"'sms\.journal-wal' was deleted"),
        ("-shm", _deleted, r"'sms\.journal-shm' was deleted"),
    ],
)
async def test_files_that_change_while_they_are_open(
    journal: SQLiteJournal, path: Path, ending: str, happens: Callable[[Path], None], said: str
) -> None:
    """If the file is not there any more, nothing is claimed, because the next process would not see the claim."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(2))
    await journal.claim(run, part)
    happens(path.with_name(path.name + ending))
    words = rf"'sms\.journal' failed: {said}.* while it was in use\. Nothing more is sent\. Stop all .* reconcile"
    for call in (
        journal.claim(run, part_of(range(2, 4))),
        journal.claim_keys("1", ADDRESS, [keyed("order")], LATER),
        journal.begin("autumn", ADDRESS),
    ):
        with pytest.raises(JournalFailed, match=words):
            await call


@pytest.mark.parametrize(
    "damage",
    [
        "state = 'acceptdd'",
        "state = x'616363'",
        "state = CAST(x'61ff' AS TEXT)",
        "results = x'00'",
        "results = 'text'",
        "fingerprint = 'text'",
        "claimed_until = 'text'",
        "address = CAST(x'61ff' AS TEXT)",
        "token = CAST(x'61ff' AS TEXT)",
    ],
)
async def test_a_damaged_key(journal: SQLiteJournal, path: Path, damage: str) -> None:
    """A damaged record of a key is never free and never gives a wrong receipt. The other keys are not affected."""
    await journal.claim_keys("1", ADDRESS, [keyed("a"), keyed("b")], LATER)
    await journal.settle_keys("1", {"a": keyed_outcome("n"), "b": keyed_outcome("a")})
    changed(path, f"UPDATE keyed SET {damage} WHERE key = 'a'")
    records = await journal.find_keys(["a", "b", "c"])
    assert (records["b"].state, records["b"].address) == (State.ACCEPTED, ADDRESS)
    if not damage.startswith(("address", "token")):
        assert records["a"].state is State.UNCONFIRMED
        with pytest.raises(ValueError, match="Expecting value"):
            Results(b"u", records["a"].results)
        # A person may decide about it. So may nobody else.
        assert {*await journal.claim_keys("2", ADDRESS, [keyed("a"), keyed("c")], LATER)} == {"a"}
        await journal.settle_keys("2", {"a": keyed_outcome("a")})
    assert not await journal.claim_keys("3", ADDRESS, [keyed("c")], LATER)
    if damage.startswith("state"):
        assert await journal.resolve_key("a", "resend")


async def test_keys_that_cannot_be_read(journal: SQLiteJournal) -> None:
    """If the file itself cannot be read, no key is free."""
    await journal.claim_keys("1", ADDRESS, [keyed("a")], LATER)
    await journal._file.do(lambda connection: connection.execute("DROP TABLE keyed"))
    with pytest.raises(JournalFailed, match="no such table"):
        await journal.find_keys(["a"])


async def test_a_schema_that_is_damaged(path: Path) -> None:
    """A file whose damage SQLite cannot even name in UTF-8 is refused like any other damaged one."""
    async with SQLiteJournal(path) as journal:
        await journal.secret()
    path.write_bytes(path.read_bytes().replace(b"keyed (claimer, token)", b"keyed (claime\xf2, token)"))
    with pytest.raises(JournalFailed, match=r"cannot be used as a journal: it is damaged\. Restore a copy"):
        async with SQLiteJournal(path):
            pass


async def test_values_of_wrong_types(journal: SQLiteJournal, path: Path) -> None:
    """What was read as another type than was written is damage, and is told as such."""
    await journal.begin("spring", ADDRESS)
    changed(path, "UPDATE campaign SET started_at = 'text'")
    with pytest.raises(JournalFailed, match="is damaged"):
        await journal.campaigns()


async def test_an_index_that_is_damaged(path: Path) -> None:
    """A part or a key that is not found, because an index is damaged, is not sent again."""
    async with SQLiteJournal(path) as journal:
        run = await journal.begin("spring", ADDRESS)
        for start in (1_000, 2_000):
            part = part_of(range(start, start + 2))
            await journal.claim(run, part)
            await journal.settle(run, part, *answer(part.positions, "aa"))
        await journal.end(run, complete=True)
        await journal.claim_keys("1", ADDRESS, [keyed("order")], LATER)
    [root] = _selected(path, "SELECT rootpage FROM sqlite_master WHERE name = 'part_place'")
    [size] = _selected(path, "PRAGMA page_size")
    plain = bytearray(path.read_bytes())
    page = plain[(root - 1) * size : root * size]
    # The first position of the first part, 1000, as the index holds it.
    at = (root - 1) * size + page.rindex((1_000).to_bytes(2, "big"))
    plain[at] ^= 64
    path.write_bytes(plain)
    async with SQLiteJournal(path) as journal:
        with pytest.raises(JournalFailed, match="record of the campaign 'spring' is damaged"):
            await journal.begin("spring", ADDRESS)


async def test_keys_that_are_hidden(path: Path) -> None:
    """If keys are damaged so that they are not found, no key is claimed."""
    async with SQLiteJournal(path) as journal:
        await journal.claim_keys("1", ADDRESS, [keyed(f"order-{each}") for each in range(9)], LATER)
    plain = path.read_bytes()
    assert b"order-4" in plain
    path.write_bytes(plain.replace(b"order-4", b"order-\x44"))
    async with SQLiteJournal(path) as journal:
        assert await journal.find_keys(["order-4"]) == {}
        with pytest.raises(JournalFailed, match="record of keyed sends is damaged"):
            await journal.claim_keys("2", ADDRESS, [keyed("order-4")], LATER)


def _selected(path: Path, query: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(path)) as connection:
        found: tuple[Any, ...] = connection.execute(query).fetchone()
        return found


async def test_a_damaged_secret(path: Path) -> None:
    """With a damaged secret no message would be known again, so nothing begins."""
    async with SQLiteJournal(path) as journal:
        secret = await journal.secret()
    changed(path, f"UPDATE meta SET secret = x'{secret[:-1].hex()}{secret[-1] ^ 1:02x}'")
    async with SQLiteJournal(path) as journal:
        for call in (journal.secret(), journal.begin("spring", ADDRESS)):
            with pytest.raises(JournalFailed, match="is damaged"):
                await call


async def test_a_campaign_that_is_gone(journal: SQLiteJournal, path: Path) -> None:
    """If the record of a campaign is lost during its run, that is damage. The error does not name another run."""
    run = await journal.begin("spring", ADDRESS)
    changed(path, "DELETE FROM campaign")
    with pytest.raises(JournalFailed, match="record of the campaign 'spring' is damaged"):
        await journal.claim(run, part_of(range(2)))
