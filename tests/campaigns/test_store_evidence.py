"""What a store of a journal tells reconciling, and what it writes down of what was found."""

from collections.abc import Callable
from typing import Any

from stores import ADDRESS, LATER, Process, answer, collected, keyed, keyed_outcome, message_at, outcome_of, part_of

from devino_async.campaigns import Journal, Outcome, State
from devino_async.campaigns.evidence import InDoubt

OTHER = "https://other.example:443"


async def in_doubt(journal: Journal, address: str = ADDRESS) -> list[InDoubt]:
    return [each async for each in journal.evidence.in_doubt(address)]


async def doubted(journal: Journal, name: str, marks: str, said: str = "1", first: int = 0) -> InDoubt:
    """A part of a campaign of its own, with these marks, of which the unconfirmed ones are returned."""
    run = await journal.begin(name, ADDRESS)
    positions = range(first, first + len(marks))
    part = part_of(positions, f"token-{name}")
    await journal.claim(run, part)
    await journal.settle(run, part, *answer(positions, marks, said))
    await journal.end(run, complete=True)
    [doubt] = [each for each in await in_doubt(journal) if each.campaign == name]
    return doubt


async def test_what_is_in_doubt(journal: Journal) -> None:
    """Each POST with unconfirmed messages is yielded with their places, positions and texts, at its address only."""
    doubt = await doubted(journal, "sale", "auruan", first=10)
    assert (doubt.token, doubt.count) == ("token-sale", 6)
    assert (list(doubt.places), list(doubt.positions)) == ([1, 3], [11, 13])
    assert [message_at(at).to in line.decode() for at, line in zip((11, 13), doubt.lines, strict=True)] == [True, True]
    assert doubt.arrived
    assert not doubt.is_live
    assert not doubt.shortened
    assert not await in_doubt(journal, OTHER)


async def test_what_is_being_sent(journal: Journal, process: Callable[[], Process]) -> None:
    """What another process is sending is yielded as live. When that process has died, it is in doubt."""
    sender = process()
    run = sender.call("begin", "sale", ADDRESS)
    sender.call("claim", run, part_of(range(3)))
    sender.call("claim_keys", "keys", ADDRESS, [keyed("order")], LATER, shortened=True)
    found = await in_doubt(journal)
    assert [(each.campaign, each.is_live, each.shortened, each.arrived) for each in found] == [
        ("sale", True, False, False),
        (None, True, True, False),
    ]
    sender.kill()
    assert [each.is_live for each in await in_doubt(journal)] == [False, False]


async def test_keys_of_one_request(journal: Journal) -> None:
    """Keys that travelled together are yielded together, with the time of their claim and when it has ended."""
    await journal.claim_keys("one", ADDRESS, [keyed(key) for key in "abc"], LATER)
    await journal.claim_keys("two", ADDRESS, [keyed("d")], LATER)
    doubt = keyed_outcome("u")
    await journal.settle_keys("one", {"a": doubt, "b": keyed_outcome("a"), "c": doubt})
    await journal.settle_keys("two", {"d": doubt})
    one, two = await in_doubt(journal)
    assert (list(one.keys), one.arrived, one.claimed_until) == (["a", "c"], True, LATER)
    assert (list(two.keys), two.arrived, two.is_live) == (["d"], False, False)


async def test_what_was_found_is_accepted(journal: Journal, other: Journal) -> None:
    """Messages that were found get their ids and keep their places. The others keep what was known of them."""
    doubt = await doubted(journal, "sale", "auruan")
    assert await journal.evidence.settle(doubt, {3: "777"}) == {3}
    expected = [outcome_of(at, mark) for at, mark in enumerate("aur.an") if mark != "."]
    found = Outcome(position=3, state=State.ACCEPTED, message_id="777")
    for each in (journal, other):
        assert await collected(each, "outcomes", "sale") == [*expected[:3], found, *expected[3:]]
    [rest] = await in_doubt(other)
    assert list(rest.places) == [1]


async def test_what_is_no_longer_in_doubt(journal: Journal) -> None:
    """Evidence changes nothing for what was settled meanwhile, by an answer or by a person, nor does it use up ids."""
    doubt = await doubted(journal, "sale", "uuu")
    await journal.resolve("sale", "assume_sent", [0])
    assert await journal.evidence.settle(doubt, {0: "70", 1: "71"}) == {1}
    assert await journal.evidence.settle(doubt, {1: "72"}) == frozenset()
    assert await journal.evidence.known(["70", "71", "72"]) == {"71"}
    states = [each.state async for each in journal.outcomes("sale")]
    assert states == [State.ASSUMED_SENT, State.ACCEPTED, State.UNCONFIRMED]
    await journal.claim_keys("one", ADDRESS, [keyed("a")], LATER)
    await journal.settle_keys("one", {"a": keyed_outcome("u")})
    [keys] = [each for each in await in_doubt(journal) if each.campaign is None]
    await journal.resolve_key("a", "resend")
    assert await journal.evidence.settle(keys, {0: "73"}) == frozenset()


async def test_an_id_is_evidence_once(journal: Journal, other: Journal) -> None:
    """An id that settled one message settles no other, whichever journal tries."""
    one, two = await doubted(journal, "one", "u"), await doubted(journal, "two", "u")
    assert await journal.evidence.settle(one, {0: "777"}) == {0}
    assert await other.evidence.settle(two, {0: "777"}) == frozenset()
    await journal.forget("one")
    assert await other.evidence.settle(two, {0: "777"}) == frozenset()


async def test_known_ids(journal: Journal) -> None:
    """Ids are known from answers of campaigns and keys, from late answers about moved messages, and from evidence."""
    doubt = await doubted(journal, "sale", "au")
    await journal.evidence.settle(doubt, {1: "777"})
    await journal.claim_keys("one", ADDRESS, [keyed("a")], LATER)
    await journal.settle_keys("one", {"a": keyed_outcome("a", "5")})
    run = await journal.begin("moved", ADDRESS)
    first, second = part_of([0], "first"), part_of([0], "second")
    await journal.claim(run, first)
    await journal.release(run, "first")
    await journal.claim(run, second)
    await journal.settle(run, first, *answer([0], "a", "8"))
    keys = [each.message_id for each in await collected(journal, "keys")]
    wanted = ["01", "777", *map(str, keys), "08", "999"]
    assert await journal.evidence.known(wanted) == {*wanted} - {"999"}
    assert await journal.evidence.known([]) == frozenset()


async def test_near(journal: Journal) -> None:
    """Some accepted messages are named with the time of their claim. Those that were only found prove no zone."""
    doubt = await doubted(journal, "sale", "aaaaaaaaauaa")
    await journal.claim_keys("one", ADDRESS, [keyed("a")], LATER)
    await journal.settle_keys("one", {"a": keyed_outcome("a")})
    await journal.evidence.settle(doubt, {9: "777"})
    near: Any = await journal.evidence.near(ADDRESS, doubt.claimed_at)
    assert 3 <= len(near) <= 5
    assert {each.count for each in near} == {12, 1}
    assert all(abs(each.claimed_at - doubt.claimed_at) < 60 for each in near)
    assert "777" not in {each.message_id for each in near}
    assert not await journal.evidence.near(OTHER, doubt.claimed_at)


async def test_found_keys(journal: Journal) -> None:
    """A key that was found gives its receipt from then on, and its text goes."""
    await journal.claim_keys("one", ADDRESS, [keyed("a"), keyed("b")], LATER)
    await journal.settle_keys("one", {"a": keyed_outcome("u"), "b": keyed_outcome("u")})
    [doubt] = await in_doubt(journal)
    assert await journal.evidence.settle(doubt, {1: "777"}) == {1}
    assert await collected(journal, "keys", "accepted") == [Outcome(key="b", state=State.ACCEPTED, message_id="777")]
    [rest] = await in_doubt(journal)
    assert (list(rest.keys), rest.arrived) == (["a"], True)
