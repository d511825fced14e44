"""What every journal must do with keyed sends, whatever its store."""

import asyncio

import pytest
from stores import (
    ADDRESS,
    LATER,
    collected,
    keyed,
    keyed_outcome,
)

from devino_async.campaigns import Journal, State


async def test_a_key(journal: Journal, other: Journal) -> None:
    """A key is unknown, then in flight, then settled, for all who look."""
    assert await journal.find_keys(["order"]) == {}
    send = keyed("order")
    assert await journal.claim_keys("token", ADDRESS, [send], 1234.5) == {}
    record = (await other.find_keys(["order", "unknown"]))["order"]
    assert (record.key, record.address, record.fingerprint) == ("order", ADDRESS, send.fingerprint)
    assert (record.state, record.claimed_until, record.results) == (State.IN_FLIGHT, 1234.5, b"")
    await journal.settle_keys("token", {"order": keyed_outcome("a")})
    assert (await other.find_keys(["order"]))["order"].state is State.ACCEPTED
    [outcome] = await collected(other, "keys")
    assert (outcome.key, outcome.position, outcome.state, outcome.message_id) == ("order", None, State.ACCEPTED, "11")


@pytest.mark.parametrize("mark", "caru")
async def test_keys_that_may_not_be_sent(journal: Journal, other: Journal, mark: str) -> None:
    """If one key was sent, or may have been, none of them is claimed, and its record is returned."""
    assert not await journal.claim_keys("1", ADDRESS, [keyed("old", "one")], 5.0)
    if mark != "c":
        await journal.settle_keys("1", {"old": keyed_outcome(mark)})
    before = await journal.find_keys(["old"])
    for each in (journal, other):
        assert await each.claim_keys("2", ADDRESS, [keyed("new"), keyed("old", "two")], LATER) == before
        assert await each.find_keys(["old", "new"]) == before


@pytest.mark.parametrize("mark", "pn")
async def test_keys_that_are_free(journal: Journal, other: Journal, mark: str) -> None:
    """A key that is proved unsent may be claimed by anyone, for another message at another address."""
    assert not await journal.claim_keys("1", ADDRESS, [keyed("old", "one")], LATER)
    if mark == "p":
        await journal.release_keys("1")
    else:
        await journal.settle_keys("1", {"old": keyed_outcome("n")})
    assert (await other.find_keys(["old"]))["old"].state in {State.PLANNED, State.NOT_SENT}
    assert not await other.claim_keys("2", "http://other:80", [keyed("old", "two")], LATER)
    record = (await journal.find_keys(["old"]))["old"]
    assert (record.address, record.state, record.results) == ("http://other:80", State.IN_FLIGHT, b"")
    assert record.fingerprint == keyed("old", "two").fingerprint
    # The token that claimed it before can no longer change it.
    await journal.settle_keys("1", {"old": keyed_outcome("a")})
    await journal.release_keys("1")
    assert (await journal.find_keys(["old"]))["old"].state is State.IN_FLIGHT


async def test_a_token_claims_its_keys_again(journal: Journal) -> None:
    """The same token can claim its keys again, together with more keys. All of them are released at once."""
    assert not await journal.claim_keys("1", ADDRESS, [keyed("a")], 1.0)
    assert not await journal.claim_keys("2", ADDRESS, [keyed("c")], 1.0)
    assert not await journal.claim_keys("1", ADDRESS, [keyed("a"), keyed("b")], 2.0)
    await journal.release_keys("1")
    states = {key: record.state for key, record in (await journal.find_keys("abc")).items()}
    assert states == {"a": State.PLANNED, "b": State.PLANNED, "c": State.IN_FLIGHT}


async def test_no_answer_takes_back_another(journal: Journal) -> None:
    """A late answer settles a key in doubt. It changes no settled key, and none that its token did not claim."""
    await journal.claim_keys("1", ADDRESS, [keyed("a"), keyed("b")], LATER)
    await journal.settle_keys("1", {"a": keyed_outcome("a"), "b": keyed_outcome("u")})
    await journal.settle_keys("1", {"a": keyed_outcome("r"), "b": keyed_outcome("a", "2"), "c": keyed_outcome("a")})
    found = [(each.key, each.state, each.message_id) for each in await collected(journal, "keys")]
    assert found == [("a", State.ACCEPTED, "11"), ("b", State.ACCEPTED, "12")]


async def test_many_keys(journal: Journal, other: Journal) -> None:
    """Thousands of keys are claimed and settled at once, and listed by key, all or those in one state."""
    sends = [keyed(f"order-{number:04d}") for number in range(2_345)]
    await asyncio.gather(
        *(journal.claim_keys(str(at), ADDRESS, sends[at : at + 700], LATER) for at in range(0, 2_345, 700))
    )
    outcomes = {each.key: keyed_outcome("aru"[number % 3]) for number, each in enumerate(sends)}
    for at in range(0, 2_345, 700):
        await journal.settle_keys(str(at), outcomes)
    assert [each.key for each in await collected(other, "keys")] == [each.key for each in sends]
    assert len(await other.find_keys([each.key for each in sends])) == 2_345
    rejected = await collected(other, "keys", "rejected")
    assert {each.state for each in rejected} == {State.REJECTED}
    assert len(rejected) == 782
    assert await collected(other, "keys", State.PLANNED) == []


@pytest.mark.parametrize("key", ["", "заказ-17", "a'b\"c", "two\nlines", "nul\0l", "x" * 5_000, "%_*", "\U0001f600"])
async def test_any_key(journal: Journal, key: str) -> None:
    """Any text is a key, and no key is taken for another."""
    near = [key + " ", key + "\0", key[:-1] + "\0\0"]
    assert not await journal.claim_keys("1", ADDRESS, [keyed(key)], LATER)
    assert await journal.find_keys(near) == {}
    await journal.settle_keys("1", {key: keyed_outcome("a")})
    assert list(await journal.find_keys([key])) == [key]
    assert [each.key for each in await collected(journal, "keys")] == [key]


async def test_two_claims_of_one_key(journal: Journal, other: Journal) -> None:
    """Of two claims of one key at the same moment one is taken, and the other gets its record."""
    found = await asyncio.gather(
        *(each.claim_keys(str(n), ADDRESS, [keyed("order")], LATER) for n, each in enumerate((journal, other) * 5))
    )
    assert [len(each) for each in found].count(0) == 1
    assert {each["order"].state for each in found if each} == {State.IN_FLIGHT}
