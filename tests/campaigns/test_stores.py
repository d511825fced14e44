"""What every journal must do with campaigns, whatever its store: the rules of journal.py, one by one."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from stores import (
    ADDRESS,
    SQLiteStores,
    answer,
    collected,
    current,
    fingerprint_at,
    outcome_of,
    part_of,
    words_of,
)

from devino_async.campaigns import CampaignBusy, CampaignChanged, Journal, JournalFailed, Outcome, State
from devino_async.campaigns.states import STATES

# Runs


async def test_a_new_campaign(journal: Journal) -> None:
    """`begin` makes a campaign that is not there yet. Its run has the journal's secret and 0 recorded messages."""
    run = await journal.begin("spring", ADDRESS, path="people.csv")
    assert (run.name, run.recorded, run.secret) == ("spring", 0, await journal.secret())
    assert len(run.secret) == 32
    assert await journal.recorded("spring") == 0
    [state] = await journal.campaigns()
    assert (state.name, state.address, state.path, state.messages) == ("spring", ADDRESS, "people.csv", 0)
    assert not any((state.complete, state.finished, state.paused, state.cancelled))


async def test_the_secret(journal: Journal, other: Journal, tmp_path: Path) -> None:
    """All who open a journal get the same secret, and another journal has another."""
    assert await journal.secret() == await other.secret()
    (tmp_path / "elsewhere").mkdir()
    third = SQLiteStores(tmp_path / "elsewhere").journal()
    assert await third.secret() != await journal.secret()
    await third.aclose()


async def test_files_of_a_campaign(journal: Journal) -> None:
    """A run notes the file that is read and the file for results. A run that names none keeps them."""
    noted = [("a.csv", None), (None, "b.csv"), (None, None), ("c.csv", "d.csv")]
    for (path, output), expected in zip(noted, ["a.csv -", "a.csv b.csv", "a.csv b.csv", "c.csv d.csv"], strict=True):
        await journal.end(await journal.begin("spring", ADDRESS, path=path, output=output), complete=False)
        [state] = await journal.campaigns()
        assert f"{state.path} {state.output or '-'}" == expected


async def test_one_run_at_a_time(journal: Journal, other: Journal) -> None:
    """While a run has not ended no other may begin, from the same journal or another. Other campaigns may."""
    run = await journal.begin("spring", ADDRESS)
    for each in (journal, other):
        with pytest.raises(CampaignBusy, match="'spring' is under way"):
            await each.begin("spring", ADDRESS)
    await other.begin("autumn", ADDRESS)
    await journal.end(run, complete=False)
    again = await other.begin("spring", ADDRESS)
    assert (again.campaign, again.token != run.token) == (run.campaign, True)


async def test_an_end_that_comes_late(journal: Journal, other: Journal) -> None:
    """The end of a run that has ended already does not end the next one."""
    run = await journal.begin("spring", ADDRESS)
    await journal.end(run, complete=False)
    await other.begin("spring", ADDRESS)
    await journal.end(run, complete=True)
    with pytest.raises(CampaignBusy):
        await journal.begin("spring", ADDRESS)
    assert not (await journal.campaigns())[0].complete


async def test_another_address(journal: Journal) -> None:
    """A campaign belongs to one service once anything was sent there. Before that the address may be corrected."""
    await journal.end(await journal.begin("spring", "http://127.0.0.1:9"), complete=False)
    run = await journal.begin("spring", ADDRESS)
    await journal.claim(run, part_of(range(3)))
    await journal.end(run, complete=False)
    with pytest.raises(CampaignChanged) as raised:
        await journal.begin("spring", "http://127.0.0.1:8025")
    assert (raised.value.position, raised.value.reason) == (0, "address")
    await journal.begin("spring", ADDRESS)


async def test_complete(journal: Journal) -> None:
    """A campaign whose input one run has read to its end stays complete."""
    for complete, expected in ((False, False), (True, True), (False, True)):
        await journal.end(await journal.begin("spring", ADDRESS), complete=complete)
        assert (await journal.campaigns())[0].complete == expected


async def test_finished(journal: Journal) -> None:
    """A campaign is finished once its input was read to the end and each message has its last state."""
    for number, (complete, marks, expected) in enumerate(
        [(True, "ar", True), (False, "ar", False), (True, "an", False), (True, "au", False)]
    ):
        run = await journal.begin(str(number), ADDRESS)
        await journal.settle(run, part_of(range(2)), *answer(range(2), marks))
        await journal.end(run, complete=complete)
        assert (await journal.campaigns())[-1].finished == expected


# Parts


async def test_claim_and_settle(journal: Journal, other: Journal) -> None:
    """A claimed part is seen as in flight by all. Once settled, each of its messages has its state and its result."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(5))
    await journal.claim(run, part)
    for each in (journal, other):
        [record] = await each.records("spring", 0, 5)
        assert (record.token, list(record.positions), record.marks) == (part.token, [0, 1, 2, 3, 4], b"ccccc")
        assert record.fingerprints == part.fingerprints
        assert (await each.campaigns())[0].in_flight == 5
    await journal.settle(run, part, *answer(range(5), "arnua"))
    [record] = await other.records("spring", 0, 5)
    assert record.marks == b"arnua"
    assert words_of(record, 3) == "cut 1"
    [state] = await other.campaigns()
    assert (state.messages, state.accepted, state.rejected, state.not_sent) == (5, 2, 1, 1)
    assert (state.unconfirmed, state.in_flight, state.planned, state.assumed_sent) == (1, 0, 0, 0)
    assert await collected(other, "outcomes", "spring") == [outcome_of(*each) for each in enumerate("arnua")]


async def test_records_by_position(journal: Journal) -> None:
    """`records` gives the parts that reach into a window, by first position, and whole."""
    run = await journal.begin("spring", ADDRESS)
    parts = [part_of(each) for each in (range(10, 20), range(10), (20, 27, 39), (21, 22, 23), range(40, 45))]
    for each in parts:
        await journal.claim(run, each)

    async def found(start: int, stop: int) -> list[int]:
        records = await journal.records("spring", start, stop)
        tokens = [each.token for each in parts]
        return [tokens.index(each.token) for each in records]

    assert await found(0, 100) == [1, 0, 2, 3, 4]
    assert await found(9, 11) == [1, 0]
    assert await found(10, 20) == [0]
    assert await found(22, 27) == [3]
    assert await found(27, 28) == [2]
    assert await found(28, 39) == []
    assert await found(38, 41) == [2, 4]
    assert await found(44, 45) == [4]
    assert await found(45, 99) == []
    [record] = await journal.records("spring", 27, 28)
    assert list(record.positions) == [20, 27, 39]
    assert record.fingerprints == b"".join(map(fingerprint_at, (20, 27, 39)))
    assert await journal.recorded("spring") == 45
    assert list(await journal.records("nothing", 0, 9)) == []
    assert await journal.recorded("nothing") == 0


async def test_positions_in_any_order(journal: Journal) -> None:
    """The messages of a part keep their order, whatever their positions are, and are listed by position."""
    run = await journal.begin("spring", ADDRESS)
    parts = [part_of((7, 2, 9)), part_of((8, 6)), part_of((3, 1, 0))]
    for part, marks in zip(parts, ("arn", "ua", "rna"), strict=True):
        await journal.claim(run, part)
        await journal.settle(run, part, *answer(part.positions, marks))
    assert [list(each.positions) for each in await journal.records("spring", 0, 9)] == [[3, 1, 0], [7, 2, 9], [8, 6]]
    assert [list(each.positions) for each in await journal.records("spring", 6, 7)] == [[8, 6]]
    assert await journal.recorded("spring") == 10
    await journal.claim(run, part_of((9, 1)))
    said = {0: "a", 1: "c", 2: "r", 3: "r", 6: "a", 7: "a", 8: "u", 9: "c"}
    assert current(await journal.records("spring", 0, 10)) == said
    found = await collected(journal, "outcomes", "spring")
    assert [(each.position, each.state) for each in found] == [(at, STATES[ord(mark)]) for at, mark in said.items()]
    assert [each for each in found if each.state is not State.IN_FLIGHT] == [
        outcome_of(at, mark) for at, mark in said.items() if mark != "c"
    ]


async def test_a_long_part_and_many_short_ones(journal: Journal) -> None:
    """A part that spans others is found in every window that it reaches into."""
    run = await journal.begin("spring", ADDRESS)
    await journal.claim(run, part_of((0, 999)))
    for position in range(100, 900, 100):
        await journal.claim(run, part_of((position,)))
    assert [list(each.positions) for each in await journal.records("spring", 899, 1000)] == [[0, 999]]
    assert len(await journal.records("spring", 0, 1000)) == 9


@pytest.mark.parametrize("mark", "car u".replace(" ", ""))
async def test_what_may_not_be_sent_again(journal: Journal, mark: str) -> None:
    """A claim is refused as a whole if one of its messages was sent, or may have been. Then nothing is recorded."""
    run = await journal.begin("spring", ADDRESS)
    first = part_of(range(3))
    await journal.claim(run, first)
    if mark != "c":
        await journal.settle(run, first, *answer(range(3), f"n{mark}n"))
    before = current(await journal.records("spring", 0, 9))
    for positions in ((1, 5), range(9), (0, 1)):
        with pytest.raises(JournalFailed, match=r"message [01] of 'spring'.* was sent before.* nothing of its batch"):
            await journal.claim(run, part_of(positions))
    if mark == "c":
        # Its own caller may claim it again: the release before may have failed.
        await journal.claim(run, first)
    else:
        with pytest.raises(JournalFailed):
            await journal.claim(run, first)
    assert current(await journal.records("spring", 0, 9)) == before
    assert await journal.recorded("spring") == 3


async def test_messages_move(journal: Journal) -> None:
    """A claim takes messages that are proved unsent from earlier parts. They are counted only in the new part."""
    run = await journal.begin("spring", ADDRESS)
    one, two, three = part_of(range(4)), part_of(range(4, 8)), part_of((1, 3, 4))
    for each, marks in ((one, "anrn"), (two, "nuan")):
        await journal.claim(run, each)
        await journal.settle(run, each, *answer(each.positions, marks, "1"))
    await journal.claim(run, three)
    assert [each.marks for each in await journal.records("spring", 0, 9)] == [b"amrm", b"ccc", b"muan"]
    await journal.settle(run, three, *answer(three.positions, "aur", "2"))
    said = {0: "a1", 1: "a2", 2: "r1", 3: "u2", 4: "r2", 5: "u1", 6: "a1", 7: "n1"}
    assert await collected(journal, "outcomes", "spring") == [
        outcome_of(position, *each) for position, each in said.items()
    ]
    [state] = await journal.campaigns()
    assert (state.messages, state.accepted, state.rejected, state.unconfirmed, state.not_sent) == (8, 3, 2, 2, 1)


async def test_parts_of_which_all_has_moved(journal: Journal) -> None:
    """A part whose messages have all moved is not among the records."""
    run = await journal.begin("spring", ADDRESS)
    await journal.settle(run, part_of(range(4)), *answer(range(4), "nnnn"))
    halves = [part_of(range(2)), part_of(range(2, 4))]
    for each in halves:
        await journal.claim(run, each)
    assert [each.token for each in await journal.records("spring", 0, 4)] == [each.token for each in halves]


async def test_release_and_claim_again(journal: Journal) -> None:
    """A released part is planned. It is claimed again under its token, or its messages under another."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(3))
    for _ in range(2):
        await journal.claim(run, part)
        await journal.release(run, part.token)
        assert current(await journal.records("spring", 0, 3)) == {0: "p", 1: "p", 2: "p"}
        assert (await journal.campaigns())[0].planned == 3
    await journal.claim(run, part_of(range(1, 3)))
    assert current(await journal.records("spring", 0, 3)) == {0: "p", 1: "c", 2: "c"}
    with pytest.raises(JournalFailed):
        await journal.claim(run, part)
    assert (await journal.campaigns())[0].messages == 3


async def test_not_sent_is_claimed_again(journal: Journal) -> None:
    """A part that ended NotSent may be claimed again under its token, and its old results are gone."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(2))
    await journal.claim(run, part)
    await journal.settle(run, part, *answer(range(2), "nn"))
    await journal.claim(run, part)
    await journal.release(run, part.token)
    assert current(await journal.records("spring", 0, 2)) == {0: "p", 1: "p"}
    await journal.claim(run, part)
    await journal.settle(run, part, *answer(range(2), "ua", "2"))
    assert await collected(journal, "outcomes", "spring") == [outcome_of(0, "u", "2"), outcome_of(1, "a", "2")]


async def test_released_after_an_answer(journal: Journal) -> None:
    """A release that comes after the answer proves nothing: what is in doubt stays so."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(2))
    await journal.claim(run, part)
    await journal.settle(run, part, *answer(range(2), "ua"))
    await journal.release(run, part.token)
    assert current(await journal.records("spring", 0, 2)) == {0: "u", 1: "a"}


async def test_settled_without_a_claim(journal: Journal) -> None:
    """What ended before it was claimed is recorded too, and takes what is proved unsent from earlier parts."""
    run = await journal.begin("spring", ADDRESS)
    await journal.settle(run, part_of(range(3)), *answer(range(3), "nrn"))
    await journal.settle(run, part_of((0, 2, 3)), *answer((0, 2, 3), "nnr", "2"))
    assert current(await journal.records("spring", 0, 9)) == {0: "n", 1: "r", 2: "n", 3: "r"}
    with pytest.raises(JournalFailed):
        await journal.settle(run, part_of(range(2)), *answer(range(2), "nn"))
    assert current(await journal.records("spring", 0, 9)) == {0: "n", 1: "r", 2: "n", 3: "r"}


async def test_settled_twice(journal: Journal) -> None:
    """Settling a part once more, because it is not known whether the store did it, changes nothing."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(4))
    await journal.claim(run, part)
    for _ in range(2):
        await journal.settle(run, part, *answer(range(4), "arnu"))
    # And no later answer takes back what is settled.
    await journal.settle(run, part, *answer(range(4), "rann", "2"))
    said = [("a", "1"), ("r", "1"), ("n", "1"), ("n", "2")]
    assert await collected(journal, "outcomes", "spring") == [outcome_of(at, *each) for at, each in enumerate(said)]


async def test_a_late_answer(journal: Journal, other: Journal) -> None:
    """An answer that comes after some messages moved settles only the others, and mixes up no results."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(6))
    await journal.claim(run, part)
    await journal.release(run, part.token)
    await journal.claim(run, part_of((1, 4)))
    await journal.settle(run, part, *answer(range(6), "araaua", "1"))
    expected = [outcome_of(at, mark) for at, mark in enumerate("araaua")]
    for at in (1, 4):
        expected[at] = Outcome(position=at, state=State.IN_FLIGHT)
    assert await collected(other, "outcomes", "spring") == expected
    [first, _] = await journal.records("spring", 0, 6)
    assert first.marks == b"amaama"


async def test_a_run_that_was_taken_over(stores: SQLiteStores, journal: Journal, other: Journal) -> None:
    """A run that has ended, or that another has replaced, claims nothing more. It may still settle earlier claims."""
    run = await journal.begin("spring", ADDRESS)
    part = part_of(range(2))
    await journal.claim(run, part)
    await journal.end(run, complete=False)
    for _ in range(2):
        with pytest.raises(CampaignBusy):
            await journal.claim(run, part_of(range(2, 4)))
        with pytest.raises(CampaignBusy):
            await journal.settle(run, part_of(range(2, 4)), *answer(range(2, 4), "nn"))
        run_of_other = await other.begin("spring", ADDRESS)
        await other.end(run_of_other, complete=False)
    await journal.settle(run, part, *answer(range(2), "aa"))
    assert current(await other.records("spring", 0, 9)) == {0: "a", 1: "a"}


async def test_a_token_that_is_unknown(journal: Journal) -> None:
    """Releasing what was never claimed raises an error."""
    run = await journal.begin("spring", ADDRESS)
    with pytest.raises(JournalFailed, match="never claimed"):
        await journal.release(run, "unknown")


async def test_campaigns_are_apart(journal: Journal) -> None:
    """Campaigns of one journal have their own messages at the same positions."""
    runs = [await journal.begin(name, ADDRESS) for name in ("one", "two")]
    for run, mark in zip(runs, "ar", strict=True):
        part = part_of(range(3))
        await journal.claim(run, part)
        await journal.settle(run, part, *answer(range(3), mark * 3, run.name[:1]))
    assert current(await journal.records("one", 0, 3)) == dict.fromkeys(range(3), "a")
    assert current(await journal.records("two", 0, 3)) == dict.fromkeys(range(3), "r")
    assert [each.name for each in await journal.campaigns()] == ["one", "two"]


async def test_many_tasks(journal: Journal, other: Journal) -> None:
    """Concurrent tasks that claim, release and settle lose nothing, even with two journals on one store."""
    runs = [await each.begin(name, ADDRESS) for each, name in ((journal, "one"), (other, "two"))]

    async def one_part(each: Journal, run: Any, number: int) -> None:
        part = part_of(range(number * 4, number * 4 + 4))
        await each.claim(run, part)
        if number % 2:
            await each.release(run, part.token)
            await each.claim(run, part)
        await each.settle(run, part, *answer(part.positions, "arnu"))

    await asyncio.gather(
        *(one_part(each, run, at) for at in range(25) for each, run in zip((journal, other), runs, strict=True))
    )
    for state in await journal.campaigns():
        assert (state.accepted, state.rejected, state.not_sent, state.unconfirmed) == (25, 25, 25, 25)
    assert len(await collected(other, "outcomes", "one")) == 100


async def test_large_campaigns_by_position(journal: Journal) -> None:
    """`outcomes` yields each message once and by position, even if later parts took messages from earlier ones."""
    run = await journal.begin("spring", ADDRESS)
    for start in range(0, 70_000, 10_000):
        positions = range(start, start + 10_000)
        await journal.settle(run, part_of(positions), *answer(positions, "nnan" * 2_500))
    moved = [*range(31_990, 32_010, 4), 69_999]
    part = part_of([each for each in moved if each % 4 != 2])
    await journal.claim(run, part)
    found = await collected(journal, "outcomes", "spring")
    assert [each.position for each in found] == list(range(70_000))
    assert {each.position for each in found if each.state is State.IN_FLIGHT} == {*part.positions}


async def test_moments(journal: Journal) -> None:
    """A campaign has the times of its beginning and its last change, with a time zone."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    run = await journal.begin("spring", ADDRESS)
    [first] = await journal.campaigns()
    await journal.claim(run, part_of(range(1)))
    [second] = await journal.campaigns()
    assert before <= first.started_at == second.started_at <= first.changed_at <= second.changed_at
