"""SQLiteJournal on a real disk: troubles with its file, what stays in it, kills, forks, and signs of life."""

import asyncio
import errno
import multiprocessing
import os
import random
import sqlite3
import stat
import subprocess
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import dying
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
    message_at,
    outcome_of,
    part_of,
)

from devino_async import DevinoError
from devino_async.campaigns import (
    CampaignBusy,
    CampaignCancelled,
    CampaignForgotten,
    CampaignPaused,
    JournalFailed,
    SQLiteJournal,
    State,
    troubles,
)
from devino_async.campaigns.journal import Part
from devino_async.protocol.sending import encode

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no such processes there")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sms.journal"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(path) as made:
        yield made


@pytest.fixture
async def other(path: Path) -> AsyncIterator[SQLiteJournal]:
    made = SQLiteJournal(path)
    yield made
    await made.aclose()


def in_process(target: Callable[..., None], *args: Any) -> int | None:
    """Run it in a process of its own, and return how that ended."""
    process = multiprocessing.get_context("forkserver").Process(target=target, args=args)
    process.start()
    process.join(60)
    return process.exitcode


def changed(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
            connection.commit()


async def set_on(journal: SQLiteJournal, pragma: str) -> None:
    await journal._file.do(lambda connection: connection.execute(f"PRAGMA {pragma}").fetchall())


def claimers(path: Path) -> list[Path]:
    return sorted(path.parent.glob("*.claimer"))


# Files that cannot be used


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
    """Where the system refuses to write, what was claimed stays, what failed is not there, and all goes on."""
    here = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", FULL_DISK, str(path), here], check=True)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@needs_fork
@pytest.mark.parametrize("case", ["folder", "file", "new file"])
async def test_no_right_to_write(case: str) -> None:
    """Where nothing may be written the error comes at once, and names the ways out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / "sms.journal"
        if case != "new file":
            async with SQLiteJournal(path) as journal:
                await journal.secret()
            path.chmod(0o444 if case == "file" else 0o666)
        folder.chmod(0o777 if case == "file" else 0o555)
        reading, writing = os.pipe()
        said = await asyncio.to_thread(in_child, path, writing, reading)
        folder.chmod(0o755)
        assert "sms.journal" in said
        assert "cannot be written. Choose another place (devino send: --journal PATH), or do without" in said


def in_child(path: Path, writing: int, reading: int) -> str:
    # A process started anew could not read the interpreter's files: they may belong to root alone.
    forked(dying.without_rights, path, writing)
    os.close(writing)
    with os.fdopen(reading) as answers:
        return answers.read()


def forked(target: Callable[..., None], *args: Any) -> None:
    """Run it in a forked child, and wait for its end."""
    child = os.fork()
    if child == 0:
        try:
            target(*args)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda path: path.write_bytes(b"phone,text\n" * 900), "not an SQLite file. Choose another path, or move it"),
        (lambda path: changed(path, "CREATE TABLE other (x)"), "other tables. Choose another path"),
        (lambda path: path.mkdir(), "it cannot be written. Choose another place"),
    ],
    ids=["text", "foreign", "folder"],
)
async def test_files_that_are_no_journals(path: Path, make: Callable[[Path], Any], advice: str) -> None:
    """What is not a journal is refused with the way out, and is not changed."""
    make(path)
    before = path.read_bytes() if path.is_file() else None
    journal = SQLiteJournal(path)
    for call in (journal.begin("spring", ADDRESS), journal.campaigns(), journal.find_keys(["order"])):
        with pytest.raises(JournalFailed, match=rf"sms\.journal' cannot be used as a journal: .*{advice}"):
            await call
    with pytest.raises(JournalFailed):
        await journal.__aenter__()
    await journal.aclose()
    assert (path.read_bytes() if path.is_file() else None) == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_a_journal_of_another_version(path: Path) -> None:
    """A journal that a later version has made is refused unchanged, and the error says which version reads it."""
    async with SQLiteJournal(path) as journal:
        await journal.begin("spring", ADDRESS)
    changed(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(JournalFailed, match=r"it has form 99, .* reads form 1\. Use the version that made it"):
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
    """Results that were exchanged for others are an error when outcomes or keys are listed."""
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
    """A journal there is refused with the ways out, and no file is made."""
    mounts = path.parent / "mountinfo"
    mounts.write_text(f"{MOUNTS}40 22 0:50 / {path.parent.resolve()} rw - nfs4 server:/ rw\n")
    monkeypatch.setattr(troubles, "_MOUNTS", str(mounts))
    journal = SQLiteJournal(path)
    with pytest.raises(
        JournalFailed, match=r"file system \(nfs4\), where locks do not hold.*--journal PATH.*--no-jour"
    ):
        await journal.begin("spring", ADDRESS)
    await journal.aclose()
    assert not path.exists()


# What is kept


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")
async def test_modes(path: Path) -> None:
    """The journal and all that lies beside it are for the owner only, whatever the umask. A group may be let in."""
    before = os.umask(0)
    try:
        for mode in (0o600, 0o660):
            async with SQLiteJournal(path) as journal:
                await journal.begin(str(mode), ADDRESS)
                names = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
                assert len(names) == 4
                assert {*names.values()} == {mode}
            path.chmod(0o660)
    finally:
        os.umask(before)


async def bodies_of(journal: SQLiteJournal) -> list[list[str] | None]:
    rows = await journal._file.do(lambda connection: connection.execute("SELECT bodies FROM part").fetchall())
    return [None if each is None else zlib.decompress(each).decode().split("\n") for (each,) in rows]


async def test_texts_are_kept_while_they_are_needed(journal: SQLiteJournal) -> None:
    """The text of a message is kept while it is in doubt or unsent, in the part that the message is in."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(5))
    texts = list(encode(map(message_at, range(5))))
    await journal.claim(run, part)
    assert await bodies_of(journal) == [texts]
    await journal.settle(run, part, *answer(range(5), "anuru"))
    assert await bodies_of(journal) == [["", texts[1], texts[2], "", texts[4]]]
    moved = part_of((1, 9))
    await journal.claim(run, moved)
    assert await bodies_of(journal) == [["", "", texts[2], "", texts[4]], [texts[1], *encode([message_at(9)])]]
    await journal.settle(run, moved, *answer((1, 9), "aa"))
    await journal.settle(run, part, *answer(range(5), "aaara", "2"))
    assert await bodies_of(journal) == [None, None]


async def test_texts_of_keys(journal: SQLiteJournal) -> None:
    """The text of a keyed send is kept while it is in doubt."""
    await journal.claim_keys("1", ADDRESS, [keyed(key) for key in "arnu"], LATER)
    await journal.settle_keys("1", {key: keyed_outcome(key) for key in "arnu"})
    rows = await journal._file.do(lambda connection: connection.execute("SELECT key, body FROM keyed").fetchall())
    assert dict(rows) == {"a": None, "r": None, "n": None, "u": keyed("u").body}


async def test_texts_are_gone(path: Path) -> None:
    """Once a campaign has ended, no byte of an accepted message's text or number is in the journal's files."""
    secret, kept = os.urandom(2_000).hex(), os.urandom(2_000).hex()
    async with SQLiteJournal(path) as journal:
        run = await journal.begin("spring", ADDRESS)
        part, doubtful = part_of(range(50), text=secret), part_of(range(50, 60), text=kept)
        await journal.claim(run, part)
        await journal.claim(run, doubtful)
        await journal.claim_keys("1", ADDRESS, [keyed("order", secret)], LATER)
        rows = await journal._file.do(lambda connection: connection.execute("SELECT bodies FROM part").fetchall())
        [blob], [kept_blob] = rows
        assert holds(path, blob)
        assert holds(path, secret.encode())
        await journal.settle(run, part, *answer(range(50), "ar" * 25))
        await journal.settle(run, doubtful, *answer(doubtful.positions, "u" * 10))
        await journal.settle_keys("1", {"order": keyed_outcome("a")})
        await journal.end(run, complete=True)
        assert path.with_name("sms.journal-wal").stat().st_size == 0
        for _ in range(2):
            assert not holds(path, blob)
            assert not holds(path, secret.encode())
            assert holds(path, kept_blob)
            await journal.aclose()


def holds(path: Path, wanted: bytes) -> bool:
    """Whether any piece of it stands in the journal's files. Pieces are shorter than a page of the file."""
    pieces = [wanted[at : at + 300] for at in range(0, len(wanted) - 300, 300)]
    found = b"".join(each.read_bytes() for each in path.parent.iterdir())
    return any(piece in found for piece in pieces)


async def test_the_end_of_a_run_waits_for_no_reader(journal: SQLiteJournal, path: Path) -> None:
    """A reader that keeps the write-ahead log from being cut does not hold up the end of a run."""
    run = await journal.begin("spring", ADDRESS)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM part").fetchone()
        await journal.claim(run, part_of(range(2)))
        await asyncio.wait_for(journal.end(run, complete=True), 10)
    timeout = await journal._file.do(lambda connection: connection.execute("PRAGMA busy_timeout").fetchone())
    assert timeout == (30_000,)


async def test_evidence(journal: SQLiteJournal) -> None:
    """An answer that accepts messages which another part has sent since is kept, with their number."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(4))
    await journal.claim(run, part)
    await journal.release(run, part.token)
    moved = part_of((1, 2, 3))
    await journal.claim(run, moved)
    await journal.settle(run, moved, *answer((1, 2, 3), "aaa", "1"))
    marks, results = answer(range(4), "aaar", "2")
    await journal.settle(run, part, marks, results)
    rows = await journal._file.do(
        lambda connection: connection.execute("SELECT part, twice, marks, results FROM evidence").fetchall()
    )
    assert [(each, twice, zlib.decompress(a), zlib.decompress(b)) for each, twice, a, b in rows] == [
        (1, 2, marks, results)
    ]
    said = ["2", "1", "1", "1"]
    assert await collected(journal, "outcomes", "spring") == [outcome_of(at, "a", each) for at, each in enumerate(said)]


@pytest.mark.parametrize(
    ("column", "error", "begins"),
    [
        ("paused", CampaignPaused, False),
        ("cancelled", CampaignCancelled, True),
        ("forgotten", CampaignForgotten, False),
    ],
)
async def test_stopped_campaigns(
    journal: SQLiteJournal, path: Path, column: str, error: type[DevinoError], begins: bool
) -> None:
    """A claim of a campaign that was stopped is refused, and so is its next run, unless it only replays."""
    run = await journal.begin("spring", ADDRESS)
    changed(path, f"UPDATE campaign SET {column} = 1")
    with pytest.raises(error, match="'spring'"):
        await journal.claim(run, part_of(range(2)))
    assert await journal.recorded("spring") == 0
    await journal.end(run, complete=False)
    if begins:
        await journal.begin("spring", ADDRESS)
    else:
        with pytest.raises(error, match="'spring'"):
            await journal.begin("spring", ADDRESS)


async def test_slices_of_any_form(journal: SQLiteJournal) -> None:
    """Messages whose JSON is not as this package writes it are kept one by one all the same."""
    run = await journal.begin("spring", ADDRESS)
    part = Part(
        token="1" * 16,
        positions=range(3),
        fingerprints=b"x" * 24,
        slices=(b'{"to": "79000000001"}, {"to":\n"79000000002", "text": "a,{\\"from\\":"}', b'{"from":"A"}'),
    )
    await journal.claim(run, part)
    await journal.settle(run, part, *answer(range(3), "auu"))
    [bodies] = await bodies_of(journal)
    assert bodies == ["", '{"to": "79000000002", "text": "a,{\\"from\\":"}', '{"from": "A"}']


# Kills


@needs_fork
def test_kills_while_the_tables_are_made(path: Path) -> None:
    """Wherever a process is killed that makes the tables, the next one opens the file, and one secret is for good."""
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
    """Wherever a process is killed that settles, all of a part is settled or all of it is in doubt. So is each key."""
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
    """Processes that make one journal at the same time all end with the same one."""
    running = [
        subprocess.Popen([sys.executable, "-c", OPENS, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    said = {each.communicate()[0] for each in running}
    assert [each.returncode for each in running] == [0] * 4
    assert len(said) == 1


# Signs of life


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


async def test_a_person_deletes_the_file(journal: SQLiteJournal, other: SQLiteJournal, path: Path) -> None:
    """A living process whose file was deleted makes it again at its next claim, and its run goes on."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(2))
    await journal.claim(run, part)
    [file] = claimers(path)
    file.unlink()
    # Those that look take it for dead meanwhile: in doubt is the safe side.
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
    """By a link, by a relative path, and after chdir, all see who lives."""
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


async def test_a_log_that_is_cut_off(path: Path, tmp_path: Path) -> None:
    """Wherever a power cut ends the write-ahead log, each step is in the file as a whole or not at all."""
    async with SQLiteJournal(path) as journal:
        await set_on(journal, "wal_autocheckpoint = 0")
        log = path.with_name("sms.journal-wal")
        run = await journal.begin("spring", ADDRESS)
        one, two = part_of(range(4)), part_of((0, 1, 4))
        steps = [
            journal.claim(run, one),
            journal.settle(run, one, *answer(range(4), "nnau")),
            journal.claim(run, two),
            journal.settle(run, two, *answer((0, 1, 4), "ara")),
        ]
        states, sizes = [{}], [log.stat().st_size]
        for step in steps:
            await step
            states.append(current(await journal.records("spring", 0, 9)))
            sizes.append(log.stat().st_size)
        database, written = path.read_bytes(), log.read_bytes()
    for size in range(sizes[0], sizes[-1] + 1, 1_021):
        cut = tmp_path / str(size)
        cut.with_name(f"{size}-wal").write_bytes(written[:size])
        cut.write_bytes(database)
        async with SQLiteJournal(cut) as journal:
            found = current(await journal.records("spring", 0, 9))
        # What was told to be on disk is there, and what was not told may be there.
        done = max(at for at, each in enumerate(sizes) if each <= size)
        assert found == states[done]
