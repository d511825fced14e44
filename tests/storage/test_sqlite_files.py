"""What SQLiteFile opens, refuses and creates, and who may share it: forms, modes, settings, processes, forks."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from notes import SCHEMA, NoteError, insert, kept, notes, numbers

from devino_async.storage.sqlite import SQLiteFile


def foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    ("statements", "advice"),
    [
        (["CREATE TABLE other (x)"], "other tables. Check that the path is right"),
        (["CREATE TABLE other (x)", "PRAGMA user_version = 3"], "other tables. Check that the path is right"),
        ([*SCHEMA, "PRAGMA user_version = 4"], "format 4, .* reads format 3. Use the version that made it$"),
        ([*SCHEMA, "CREATE TABLE more (x)", "PRAGMA user_version = 9"], "format 9"),
        (["not SQLite"], "not an SQLite file. Check that the path is right"),
    ],
)
async def test_files_of_another_form(path: Path, statements: list[str], advice: str) -> None:
    """A file of another program or version is refused every time, with the way out, and not changed by a byte."""
    if statements == ["not SQLite"]:
        path.write_bytes(b"x" * 5_000)
    else:
        foreign(path, *statements)
    before, file = path.read_bytes(), notes(path)
    for call in (file.together(insert(1)), file.do(numbers)):
        with pytest.raises(NoteError, match=advice) as raised:
            await call
        assert str(path) in str(raised.value)
        assert raised.value.__context__ is None
    await file.aclose()
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_files_of_this_form(path: Path) -> None:
    """A file made before is opened again, also with an index that its owner added. An empty file is used as new."""
    path.touch()
    for number in range(2):
        file = notes(path)
        await file.together(insert(number))
        await file.aclose()
        foreign(path, f"CREATE INDEX mine_{number} ON note (words)")
    assert kept(path) == [0, 1]


def words(added: str) -> Callable[[sqlite3.Connection], None]:
    def upgrade(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE note SET words = words || ?", (added,))

    return upgrade


async def test_upgrades(path: Path) -> None:
    """A file of an earlier version is brought to this one step by step. One without a way is refused unchanged."""
    file = notes(path, version=3)
    await file.together(insert(1))
    await file.aclose()
    for upgrades in ({}, {4: words("b")}, {3: words("a")}):
        file = notes(path, version=5, upgrades=upgrades)
        with pytest.raises(NoteError, match="format 3"):
            await file.do(numbers)
        await file.aclose()
    file = notes(path, version=5, upgrades={3: words("a"), 4: words("b")})
    assert await file.do(numbers) == [1]
    await file.aclose()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT words FROM note").fetchone() == ("xab",)
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
    file = notes(path, version=4, upgrades={3: words("a")})
    with pytest.raises(NoteError, match="format 5"):
        await file.do(numbers)
    await file.aclose()


async def test_an_upgrade_that_fails(path: Path) -> None:
    """An upgrade that fails in the middle leaves the file as it was."""
    file = notes(path, version=3)
    await file.together(insert(1))
    await file.aclose()

    def fails(connection: sqlite3.Connection) -> None:
        words("b")(connection)
        connection.execute("SELECT * FROM missing")

    file = notes(path, version=5, upgrades={3: words("a"), 4: fails})
    with pytest.raises(NoteError, match="no such table"):
        await file.do(numbers)
    await file.aclose()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT words FROM note").fetchone() == ("x",)
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)


async def test_a_path_that_cannot_be_opened(tmp_path: Path) -> None:
    """A missing folder is the owner's error at each call, and once the folder is there, the file opens."""
    file = notes(tmp_path / "missing" / "notes.db")
    for call in (file.together(insert(1)), file.do(numbers)):
        with pytest.raises(NoteError, match=r"notes\.db' cannot be used as a note store: .*No such file"):
            await call
    (tmp_path / "missing").mkdir()
    assert await file.together(insert(1)) == 1
    await file.aclose()


async def test_words_of_the_owner(tmp_path: Path) -> None:
    """The owner of a file may word why it cannot be opened, and refuse a path before anything is made there."""
    file = notes(tmp_path / "missing" / "notes.db", explain=lambda error: f"sorry, {type(error).__name__}")
    with pytest.raises(NoteError, match="as a note store: sorry, FileNotFoundError"):
        await file.do(numbers)
    await file.aclose()

    def refuse() -> None:
        raise NoteError("not there")

    file = notes(tmp_path / "notes.db", before_opening=refuse)
    with pytest.raises(NoteError, match="not there"):
        await file.do(numbers)
    await file.aclose()
    assert list(tmp_path.iterdir()) == []


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")
async def test_modes(path: Path) -> None:
    """A new file and what SQLite keeps beside it are for the owner only. The mode of an existing file stays."""
    before = os.umask(0)
    try:
        file = notes(path)
        await file.together(insert(1))
        assert {each.name: mode(each) for each in path.parent.iterdir()} == dict.fromkeys(
            ("notes.db", "notes.db-wal", "notes.db-shm"), 384
        )
        await file.aclose()
        path.chmod(0o640)
        file = notes(path)
        await file.together(insert(2))
        assert mode(path) == 0o640
        await file.aclose()
    finally:
        os.umask(before)


async def test_settings(file: SQLiteFile) -> None:
    """Commits reach the disk before they are reported, and what is deleted is overwritten."""
    expected = {"journal_mode": "wal", "synchronous": 2, "fullfsync": 1, "checkpoint_fullfsync": 1, "secure_delete": 1}

    def settings(connection: sqlite3.Connection) -> dict[str, Any]:
        return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in expected}

    assert await file.do(settings) == expected


async def test_in_memory() -> None:
    """The path :memory: needs no file."""
    file = SQLiteFile(":memory:", schema=SCHEMA, version=3, kind="note store", error=NoteError)
    await file.together(insert(1))
    assert await file.do(numbers) == [1]
    await file.aclose()
    assert not Path(":memory:").exists()


def in_child(work: Callable[[], str]) -> str:
    """What the work says in a forked child, which ends without the clean-up of this process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = work()
        except Exception as error:  # noqa: BLE001 - shown by the parent
            said = f"raised {error!r}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork(path: Path) -> None:
    """A forked child is refused what its parent has used, closes nothing of it, and may use what nothing has used."""
    used, unused = notes(path), notes(path)
    runner = asyncio.Runner()
    runner.run(used.together(insert(1)))

    def refused() -> str:
        said = []
        for call in (used.together(insert(9)), used.do(numbers)):
            try:
                asyncio.run(call)
            except NoteError as error:
                said.append(str(error))
        asyncio.run(used.aclose())
        return f"{len(said)} {said[0]}"

    assert in_child(refused) == "2 this note store was used before the process forked; open it in each process"

    async def inserted() -> str:
        number = await unused.together(insert(2))
        await unused.aclose()
        return str(number)

    assert in_child(lambda: asyncio.run(inserted())) == "2"
    runner.run(used.together(insert(3)))
    runner.run(used.aclose())
    runner.close()
    assert kept(path) == [1, 2, 3]


PROCESS = """
import asyncio, sys
from devino_async.errors import DevinoError
from devino_async.storage.sqlite import SQLiteFile

async def main():
    schema = ("CREATE TABLE note (number INTEGER PRIMARY KEY, words TEXT)", "CREATE INDEX note_words ON note (words)")
    file = SQLiteFile(sys.argv[1], schema=schema, version=3, kind="x", error=DevinoError)
    def insert(number):
        return lambda connection: connection.execute("INSERT INTO note VALUES (?, 'x')", (number,))
    await asyncio.gather(*(file.together(insert(number)) for number in range(int(sys.argv[2]), int(sys.argv[3]))))
    await file.aclose()

asyncio.run(main())
"""


def test_several_processes(path: Path) -> None:
    """Processes that create, open and write one file at the same time lose nothing of one another."""
    bounds = [(start, start + 100) for start in range(0, 400, 100)]
    running = [subprocess.Popen([sys.executable, "-c", PROCESS, str(path), str(a), str(b)]) for a, b in bounds]
    assert [each.wait() for each in running] == [0] * len(bounds)
    assert kept(path) == list(range(400))


async def test_two_files_in_one_process(path: Path) -> None:
    """Two objects on one new path, opened at once, share it without losing SQLite's locks."""
    files = [notes(path) for _ in range(4)]
    await asyncio.gather(*(each.together(insert(number)) for number, each in enumerate(files)))
    await asyncio.gather(*(each.aclose() for each in files))
    assert kept(path) == [0, 1, 2, 3]


async def test_a_file_that_is_replaced_while_it_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is replaced at that moment is refused, because it is unknown which of the two is open."""
    connect = sqlite3.connect

    def connected(*args: Any, **options: Any) -> sqlite3.Connection:
        if args[0] == str(path):
            path.with_name("new").touch()
            path.with_name("new").replace(path)
        return connect(*args, **options)

    monkeypatch.setattr(sqlite3, "connect", connected)
    file = notes(path)
    with pytest.raises(NoteError, match="replaced while it was being opened"):
        await file.do(numbers)
    monkeypatch.undo()
    assert await file.together(insert(1)) == 1
    await file.aclose()


@pytest.mark.parametrize("happens", [Path.unlink, lambda path: os.truncate(path, 0)], ids=["missing", "empty"])
async def test_a_log_that_has_lost_its_file(path: Path, happens: Callable[[Path], None]) -> None:
    """A log beside a file that is missing or empty is no new file: it is refused, and the log is left alone."""
    foreign(path, "PRAGMA journal_mode = WAL")
    log = path.with_name("notes.db-wal")
    happens(path)
    log.write_bytes(b"x" * 99)
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    for _ in range(2):
        file = notes(path)
        with pytest.raises(
            NoteError, match=r"missing or empty, but its -wal file is not.* Restore it\. To begin a new"
        ):
            await file.do(numbers)
        await file.aclose()
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before
    log.unlink()
    file = notes(path)
    assert await file.do(numbers) == []
    await file.aclose()
