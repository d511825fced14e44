"""What every journal must do when processes end, are killed, or freeze, whatever its store."""

import signal
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from stores import (
    ADDRESS,
    LATER,
    Process,
    SQLiteStores,
    answer,
    collected,
    current,
    keyed,
    part_of,
    words_of,
)

from devino_async import ClientClosed
from devino_async.campaigns import CampaignBusy, Journal, JournalFailed, State
from devino_async.campaigns.results import DIED

needs_processes = pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")


async def test_a_journal_that_is_closed(journal: Journal, stores: SQLiteStores) -> None:
    """Closing leaves in doubt what is still claimed, frees the campaign, and may be done twice."""
    closed = stores.journal()
    run = await closed.begin("spring", ADDRESS)
    await closed.claim(run, part_of(range(2)))
    await closed.claim_keys("token", ADDRESS, [keyed("order")], LATER)
    await closed.aclose()
    await closed.aclose()
    for call in (
        closed.begin("spring", ADDRESS),
        closed.claim(run, part_of(range(2, 4))),
        closed.records("spring", 0, 2),
        closed.find_keys(["order"]),
        closed.campaigns(),
    ):
        with pytest.raises(ClientClosed):
            await call
    await journal.begin("spring", ADDRESS)
    assert current(await journal.records("spring", 0, 9)) == {0: "u", 1: "u"}
    assert (await journal.find_keys(["order"]))["order"].state is State.UNCONFIRMED


@needs_processes
async def test_a_process_that_is_killed(journal: Journal, process: Callable[[], Process]) -> None:
    """What a killed process had claimed becomes unconfirmed, never planned. What it had released is planned."""
    killed = process()
    run = killed.call("begin", "spring", ADDRESS)
    parts = [part_of(range(start, start + 2)) for start in (0, 2, 4)]
    for each in parts:
        killed.call("claim", run, each)
    killed.call("settle", run, parts[0], *answer(range(2), "ar"))
    killed.call("release", run, parts[1].token)
    with pytest.raises(CampaignBusy):
        await journal.begin("spring", ADDRESS)
    killed.kill()
    again = await journal.begin("spring", ADDRESS)
    assert again.recorded == 6
    assert current(await journal.records("spring", 0, 9)) == {0: "a", 1: "r", 2: "p", 3: "p", 4: "u", 5: "u"}
    [*_, record] = await journal.records("spring", 4, 6)
    assert [words_of(record, at) for at in range(2)] == [DIED, DIED]
    with pytest.raises(JournalFailed):
        await journal.claim(again, part_of(range(4, 6)))


@needs_processes
async def test_looking_at_what_a_killed_process_left(journal: Journal, process: Callable[[], Process]) -> None:
    """Looking is enough to see what a dead process had claimed as unconfirmed, before any run begins."""
    killed = process()
    run = killed.call("begin", "spring", ADDRESS)
    killed.call("claim", run, part_of(range(2)))
    killed.call("claim_keys", "token", ADDRESS, [keyed("order")], LATER)
    [state] = await journal.campaigns()
    assert (state.in_flight, state.unconfirmed) == (2, 0)
    assert [each.state for each in await collected(journal, "keys")] == [State.IN_FLIGHT]
    killed.kill()
    assert [each.state for each in await collected(journal, "outcomes", "spring")] == [State.UNCONFIRMED] * 2
    [state] = await journal.campaigns()
    assert (state.in_flight, state.unconfirmed) == (0, 2)
    assert [each.state for each in await collected(journal, "keys")] == [State.UNCONFIRMED]


@needs_processes
async def test_a_frozen_process_lives(journal: Journal, process: Callable[[], Process]) -> None:
    """A process that is stopped, for however long, is not taken for dead, and continues when it is resumed."""
    frozen = process()
    run = frozen.call("begin", "spring", ADDRESS)
    part = part_of(range(2))
    frozen.call("claim", run, part)
    frozen.call("claim_keys", "token", ADDRESS, [keyed("order")], 0.0)
    frozen.signal(signal.SIGSTOP)
    try:
        with pytest.raises(CampaignBusy):
            await journal.begin("spring", ADDRESS)
        assert (await journal.campaigns())[0].in_flight == 2
        assert (await journal.find_keys(["order"]))["order"].state is State.IN_FLIGHT
    finally:
        frozen.signal(signal.SIGCONT)
    frozen.call("claim", run, part_of(range(2, 4)))
    frozen.call("settle", run, part, *answer(range(2), "aa"))
    assert current(await journal.records("spring", 0, 9)) == {0: "a", 1: "a", 2: "c", 3: "c"}


@needs_processes
async def test_several_processes(journal: Journal, process: Callable[[], Process]) -> None:
    """If one of several processes dies, only its claims become unconfirmed."""
    processes = [process() for _ in range(3)]
    runs = [each.call("begin", str(number), ADDRESS) for number, each in enumerate(processes)]
    for each, run in zip(processes, runs, strict=True):
        each.call("claim", run, part_of(range(2)))
        each.call("claim_keys", run.name, ADDRESS, [keyed(run.name)], LATER)
    processes[1].kill()
    assert [(each.in_flight, each.unconfirmed) for each in await journal.campaigns()] == [(2, 0), (0, 2), (2, 0)]
    states = {key: record.state for key, record in (await journal.find_keys("012")).items()}
    assert states == {"0": State.IN_FLIGHT, "1": State.UNCONFIRMED, "2": State.IN_FLIGHT}
    processes[0].close()
    assert [(each.in_flight, each.unconfirmed) for each in await journal.campaigns()] == [(0, 2), (0, 2), (2, 0)]


@needs_processes
async def test_a_key_of_a_killed_process(journal: Journal, process: Callable[[], Process]) -> None:
    """A key that a killed process had claimed is unconfirmed for a claim, and a released one is free."""
    killed = process()
    killed.call("claim_keys", "1", ADDRESS, [keyed("doubt")], LATER)
    killed.call("claim_keys", "2", ADDRESS, [keyed("free")], LATER)
    killed.call("release_keys", "2")
    killed.kill()
    found = await journal.claim_keys("3", ADDRESS, [keyed("doubt")], LATER)
    assert found["doubt"].state is State.UNCONFIRMED
    assert not await journal.claim_keys("3", ADDRESS, [keyed("free")], LATER)


@needs_processes
async def test_prune_of_what_a_dead_run_left(process: Callable[[], Process], journal: Journal) -> None:
    """A finished campaign whose last run was killed is pruned like any other. One that is being run is not."""
    run = await journal.begin("sale", ADDRESS)
    part = part_of(range(2))
    await journal.claim(run, part)
    await journal.settle(run, part, *answer(range(2), "aa"))
    await journal.end(run, complete=True)
    runner = process()
    runner.call("begin", "sale", ADDRESS)
    assert await journal.prune(timedelta(seconds=-5)) == (0, 0)
    runner.kill()
    assert await journal.prune(timedelta(seconds=-5)) == (1, 0)
