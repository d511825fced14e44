"""What SQLiteJournal keeps in its file: texts while they are needed, evidence, and each step in full or not at all."""

import asyncio
import os
import sqlite3
import stat
import sys
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_lab import bodies_of, changed, selected, set_on
from stores import (
    ADDRESS,
    LATER,
    answer,
    collected,
    current,
    keyed,
    keyed_outcome,
    message_at,
    outcome_of,
    part_of,
)

from devino_async import ConfigurationError, DevinoError
from devino_async.campaigns import (
    CampaignCancelled,
    CampaignForgotten,
    CampaignPaused,
    JournalError,
    SQLiteJournal,
    sqlite_store,
)
from devino_async.campaigns.states import Part
from devino_async.protocol.sending import encode
from devino_async.storage.sqlite import truncate_log

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no such processes there")


@pytest.mark.skipif(sys.platform == "win32", reason="no such modes there")
async def test_modes(path: Path) -> None:
    """The journal and the files beside it are for the owner only, whatever the umask. A group may be given access."""
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


async def test_texts_are_kept_while_they_are_needed(journal: SQLiteJournal) -> None:
    """The text of a message is kept while the message is in doubt or unsent, in the part that it belongs to."""
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
    rows = await selected(journal, "SELECT key, body FROM keyed")
    texts = {key: body and zlib.decompress(body) for key, body in rows}
    assert texts == {"a": None, "r": None, "n": None, "u": keyed("u").body}


async def test_texts_are_gone(path: Path) -> None:
    """Once a campaign has ended, no byte of an accepted message's text or number is in the journal's files."""
    secret, kept = os.urandom(2_000).hex(), os.urandom(2_000).hex()
    async with SQLiteJournal(path) as journal:
        run = await journal.begin("spring", ADDRESS)
        part, doubtful = part_of(range(50), text=secret), part_of(range(50, 60), text=kept)
        await journal.claim(run, part)
        await journal.claim(run, doubtful)
        await journal.claim_keys("1", ADDRESS, [keyed("order", secret)], LATER)
        [blob], [kept_blob] = await selected(journal, "SELECT bodies FROM part")
        [[keyed_blob]] = await selected(journal, "SELECT body FROM keyed")
        assert holds(path, blob)
        assert holds(path, keyed_blob)
        await journal.settle(run, part, *answer(range(50), "ar" * 25))
        await journal.settle(run, doubtful, *answer(doubtful.positions, "u" * 10))
        await journal.settle_keys("1", {"order": keyed_outcome("a")})
        await journal.end(run, complete=True)
        assert path.with_name("sms.journal-wal").stat().st_size == 0
        for _ in range(2):
            assert not holds(path, blob)
            assert not holds(path, keyed_blob)
            assert holds(path, kept_blob)
            await journal.aclose()


def holds(path: Path, wanted: bytes) -> bool:
    """Whether any piece of it stands in the journal's files. Pieces are shorter than a page of the file."""
    pieces = [wanted[at : at + 300] for at in range(0, len(wanted) - 300, 300)]
    found = b"".join(each.read_bytes() for each in path.parent.iterdir())
    return any(piece in found for piece in pieces)


async def test_the_end_of_a_run_waits_for_no_reader(journal: SQLiteJournal, path: Path) -> None:
    """A reader that keeps the write-ahead log from being truncated does not delay the end of a run."""
    run = await journal.begin("spring", ADDRESS)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM part").fetchone()
        await journal.claim(run, part_of(range(2)))
        await asyncio.wait_for(journal.end(run, complete=True), 10)
    timeout = await journal._file.do(lambda connection: connection.execute("PRAGMA busy_timeout").fetchone())
    assert timeout == (30_000,)


async def test_evidence(journal: SQLiteJournal) -> None:
    """If an answer accepts messages that another part has sent since, it is kept, with the number of these messages."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(4))
    await journal.claim(run, part)
    await journal.release(run, part.token)
    moved = part_of((1, 2, 3))
    await journal.claim(run, moved)
    await journal.settle(run, moved, *answer((1, 2, 3), "aaa", "1"))
    marks, results = answer(range(4), "aaar", "2")
    for _ in range(2):
        await journal.settle(run, part, marks, results)
    rows = await selected(journal, "SELECT part, twice, marks, results FROM evidence")
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
        # What was reported as written is there, and anything else may be there.
        done = max(at for at, each in enumerate(sizes) if each <= size)
        assert found == states[done]


async def test_texts_of_keys_are_gone_while_the_journal_is_open(
    path: Path, journal: SQLiteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Soon after keyed sends were settled the log is emptied, once for many of them."""
    monkeypatch.setattr(sqlite_store, "_TIDY_SECONDS", 0.05)
    emptied: list[int] = []

    def empties(connection: sqlite3.Connection) -> None:
        truncate_log(connection)
        emptied.append(path.with_name("sms.journal-wal").stat().st_size)

    monkeypatch.setattr(sqlite_store, "truncate_log", empties)
    secret = os.urandom(2_000).hex()
    await journal.claim_keys("0", ADDRESS, [keyed("order", secret)], LATER)
    [[blob]] = await selected(journal, "SELECT body FROM keyed")
    await asyncio.gather(*(journal.settle_keys("0", {"order": keyed_outcome("a")}) for _ in range(9)))
    assert holds(path, blob)
    assert len([*filter(None, [journal._tidying])]) == 1
    async with asyncio.timeout(10):
        while not emptied:
            await asyncio.sleep(0.01)
    assert emptied == [0]
    assert not holds(path, blob)


async def test_no_timer_outlives_the_journal(path: Path) -> None:
    """Closing takes the timer back. A timer of an event loop that has ended does not count."""
    journal = SQLiteJournal(path)
    await journal.claim_keys("1", ADDRESS, [keyed("order")], LATER)
    await asyncio.to_thread(asyncio.run, journal.settle_keys("1", {"order": keyed_outcome("a")}))
    lost = journal._tidying
    assert lost is not None
    journal._tidying = asyncio.get_running_loop().call_at(lost.when() - 60, lambda: None)
    await journal.settle_keys("1", {"order": keyed_outcome("a")})
    timer = journal._tidying
    assert timer.when() > lost.when() - 60
    settling = asyncio.create_task(journal.settle_keys("1", {"order": keyed_outcome("a")}))
    await asyncio.sleep(0)
    await journal.aclose()
    await settling
    assert timer.cancelled()
    assert journal._tidying is timer


async def test_texts_that_a_crash_left_are_gone(path: Path) -> None:
    """Opening a journal empties the log that a killed process has left."""
    secret = os.urandom(2_000).hex()
    journal = SQLiteJournal(path)
    await journal.claim_keys("1", ADDRESS, [keyed("order", secret)], LATER)
    [[blob]] = await selected(journal, "SELECT body FROM keyed")
    await journal.settle_keys("1", {"order": keyed_outcome("a")})
    assert holds(path, blob)
    async with SQLiteJournal(path):
        assert not holds(path, blob)
    await journal.aclose()


@pytest.mark.parametrize("path", [None, 5, "", b"sms.journal", ":memory:", "a\0b", True])
def test_wrong_paths(path: Any) -> None:
    """What is not the path of a file is refused at once."""
    with pytest.raises(ConfigurationError, match="the path of a journal must be"):
        SQLiteJournal(path)


async def test_outcomes_of_an_unknown_campaign(journal: SQLiteJournal) -> None:
    """Looking at a campaign that is not there is the same error as deciding about it."""
    with pytest.raises(JournalError, match="the journal has no campaign 'nosuch'"):
        await collected(journal, "outcomes", "nosuch")


async def test_forgotten_while_it_is_read(journal: SQLiteJournal, other: SQLiteJournal) -> None:
    """If a campaign is forgotten while its outcomes are read, that is an error. A part would pass for the whole."""
    run = await journal.begin("spring", ADDRESS)
    for first in (0, 40_000):
        part = part_of(range(first, first + 3))
        await journal.claim(run, part)
        await journal.settle(run, part, *answer(part.positions, "aaa"))
    await journal.end(run, complete=True)
    read = []
    with pytest.raises(JournalError, match="no campaign 'spring'"):
        async for each in journal.outcomes("spring"):
            read.append(each.position)
            if len(read) == 1:
                await other.forget("spring")
    assert read == [0, 1, 2]
