"""Comparing a file with the campaigns of a real journal: which one it belongs to, and how the two differ."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devino_async import Message
from devino_async.campaigns import Comparison, SQLiteJournal, compare
from devino_async.campaigns.fingerprints import Fingerprints
from devino_async.campaigns.states import Part
from devino_async.flow.steps import at_once

HERE, THERE = "https://one.example:443", "https://two.example:443"
MISSED = b"aus"


def message(number: int) -> Message:
    return Message(sender="MyCompany", to=f"7900{number:07}", text="x")


async def in_runs(numbers: Sequence[int]) -> AsyncIterator[list[Message]]:
    """Messages in runs of two."""
    for start in range(0, len(numbers), 2):
        yield [message(number) for number in numbers[start : start + 2]]


async def record(
    journal: SQLiteJournal, name: str, kept: Sequence[tuple[int, str]], *, address: str = HERE, path: str | None = None
) -> None:
    """Record messages of a campaign, each with its mark, as a finished run leaves them."""
    run = await journal.begin(name, address, path=path)
    if kept:
        messages = [message(number) for number, _ in kept]
        part = Part(
            token=name,
            positions=range(len(kept)),
            fingerprints=at_once(Fingerprints(run.secret).of_all(messages)),
            slices=[b",".join(b"{}" for _ in kept)],
        )
        await journal.claim(run, part)
        await journal.settle(run, part, "".join(mark for _, mark in kept).encode(), b"{}")
    await journal.end(run, complete=True)


async def compared(
    journal: SQLiteJournal, numbers: Sequence[int], rest: Sequence[int] = (), path: str | None = "f", name: str = "f"
) -> Comparison:
    return await compare(journal, in_runs(numbers), name=name, address=HERE, path=path, rest=in_runs(rest))


kept = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("arnu")), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kept=kept, now=st.lists(st.integers(0, 7), max_size=8), rest=st.lists(st.integers(0, 7), max_size=5))
async def test_counts(tmp_path: Path, kept: list[tuple[int, str]], now: list[int], rest: list[int]) -> None:
    """Equal messages are counted, and only messages that were or may have been sent count as missing."""
    path = tmp_path / "j"
    for each in tmp_path.iterdir():
        each.unlink()
    async with SQLiteJournal(path) as journal:
        await record(journal, "f", kept)
        found = await compared(journal, now, rest, path=None)
    recorded = Counter(number for number, _ in kept)
    assert found.unchanged == (recorded & Counter(now)).total()
    assert found.new == len(now) - found.unchanged
    # Of equal messages the first recorded are taken first.
    left = Counter([*now, *rest])
    missing = []
    for number, mark in kept:
        left[number] -= 1
        if left[number] < 0:
            missing.append(mark)
    assert found.missing_sent == missing.count("a")
    assert found.missing_in_doubt == missing.count("u")
    assert found.missing == found.missing_sent + found.missing_in_doubt


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(tmp_path / "j") as made:
        yield made


async def test_unsent(journal: SQLiteJournal) -> None:
    """Recorded messages in the file that were proved unsent are counted on their own."""
    await record(journal, "f", [(1, "a"), (2, "n"), (3, "n")])
    found = await compared(journal, [1, 2, 4])
    assert (found.unchanged, found.unsent, found.new, found.missing) == (2, 1, 1, 0)


async def test_nothing_recorded(journal: SQLiteJournal) -> None:
    """If there is nothing to compare with, nothing is read, and the campaign begins under the requested name."""

    async def never() -> AsyncIterator[list[Message]]:
        raise AssertionError
        yield []

    await record(journal, "f", [])
    await record(journal, "other", [(1, "a")])
    found = await compare(journal, never(), name="f", address=HERE, path="f")
    assert (found.name, found.campaign) == ("f", None)


async def test_the_newest_that_shares_a_message(journal: SQLiteJournal) -> None:
    """A file continues the newest campaign of its path or name, at this address, that shares a message with it."""
    await record(journal, "f", [(1, "a"), (2, "a")])
    await record(journal, "f-2", [(2, "a"), (3, "a")], path="f")
    await record(journal, "g", [(1, "a"), (2, "a"), (3, "a"), (4, "a")], path="g")
    await record(journal, "there", [(4, "a")], address=THERE, path="f")
    names = {number: (await compared(journal, [number])).name for number in (1, 2, 3, 4)}
    assert names == {1: "f", 2: "f-2", 3: "f-2", 4: "f-3"}


async def test_what_is_to_be_sent_later_counts_as_shared(journal: SQLiteJournal) -> None:
    """A campaign that shares only messages of the rest is continued too."""
    await record(journal, "f", [(1, "a")])
    found = await compared(journal, [5], [1])
    assert (found.name, found.unchanged, found.new, found.missing) == ("f", 0, 1, 0)


async def test_a_name_that_was_asked_for(journal: SQLiteJournal) -> None:
    """Without a path only the campaign of this name counts, even if it shares nothing."""
    await record(journal, "f", [(1, "a")])
    await record(journal, "f-2", [(2, "a")], path="f")
    found = await compared(journal, [2], path=None)
    assert (found.name, found.missing, found.free_name) == ("f", 1, "f-3")
    assert (await compared(journal, [2], path=None, name="new")).name == "new"


@pytest.mark.parametrize(
    ("recorded", "now", "finished"),
    [
        ([(1, "a"), (2, "r")], [1, 2], True),
        ([(1, "a"), (2, "r")], [1], True),
        ([(1, "a"), (2, "a")], [1], False),
        ([(1, "a")], [1, 2], False),
        ([(1, "a"), (2, "n")], [1, 2], False),
        ([(1, "a"), (2, "n")], [1], False),
        ([(1, "a"), (2, "u")], [1, 2], False),
    ],
)
async def test_finished(
    journal: SQLiteJournal, recorded: list[tuple[int, str]], now: list[int], finished: bool
) -> None:
    """A campaign is finished if the file is unchanged, and every recorded message is accepted or rejected."""
    await record(journal, "f", recorded)
    found = await compared(journal, now)
    assert found.campaign is not None
    assert found.finished_at == (found.campaign.changed_at if finished else None)
