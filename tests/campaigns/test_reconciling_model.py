"""Reconciling over HTTP in random histories of an account that knows the truth. See account_history.py."""

import asyncio
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from account import LINK, SHORT
from account_history import History, content_of, contents_in_doubt, lived, options_of
from loopback_service import Service

from devino_async.campaigns import State

# RECONCILINGS=2000 takes some minutes. RECONCILING_SEED chooses others.
HISTORIES = int(os.environ.get("RECONCILINGS", "30"))
SEED = int(os.environ.get("RECONCILING_SEED", "20261128"))
AT_ONCE = 8
# A test must not take minutes.
A_TEST = 100


async def recorded(history: History) -> dict[str, str | None]:
    """The id of each accepted message, by its origin, and None for the others."""
    found: dict[str, str | None] = {}
    for campaign in history.campaigns:
        async for each in history.journal.outcomes(campaign.name):
            found[f"{campaign.name}/{each.position}"] = each.message_id
    async for each in history.journal.keys():
        found[f"/{each.key}"] = each.message_id if each.state is State.ACCEPTED else None
    return found


def no_wrong_id(history: History, ids: Mapping[str, str | None]) -> None:
    """An id is given to one message. Its row is of this message, or of an equal one, and this one arrived too."""
    rows = {each.message_id: each for each in history.account.stored}
    messages = {options_of(each): each for campaign in history.campaigns for each in campaign.messages}
    stored = {each.origin for each in rows.values()}
    given = [each for each in ids.values() if each is not None]
    assert len(given) == len(set(given)), "a row is evidence once"
    for origin, message_id in ids.items():
        if message_id is None:
            continue
        row = rows[message_id]
        assert row.origin, f"{origin} got a row of another program"
        assert origin in stored, f"{origin} never arrived"
        if origin in messages:
            to, sender, text = content_of(messages[origin])
            assert (row.recipient, row.sender) == (to, sender)
            assert row.text in {text, text.replace(LINK, SHORT)}


def what_is_shown_is_found(history: History, ids: Mapping[str, str | None]) -> int:
    """Each row of a message that nothing else is like is found. Returns how many there were."""
    alike = contents_in_doubt(history.campaigns)
    alike.update((each.recipient, each.sender) for each in history.account.stored if not each.origin)
    alike.update((each.recipient, each.sender) for each in history.account.stored if each.origin.startswith("/"))
    if history.zone is None and (history.has_foreign or max(alike.values()) > 1 or history.account.hours < -7.75):
        # Then rows may make sense in several zones.
        return 0
    unlike = [each for each in history.account.stored if each.origin and alike[each.recipient, each.sender] == 1]
    for each in unlike:
        assert ids[each.origin] == each.message_id, f"{each.origin} is shown and was not found"
    return len(unlike)


async def nothing_proved_is_sent_again(history: History, ids: Mapping[str, str | None]) -> None:
    """After `resend`, a run sends nothing of a request of which one message is known to have been accepted."""
    proved = {origin for post in history.account.posts for origin in post if any(ids.get(each) for each in post)}
    before = Counter(each.origin for each in history.account.stored)
    for campaign in history.campaigns:
        await history.journal.resolve(campaign.name, "resend")
        await history.send(campaign, loses=False)
    after = Counter(each.origin for each in history.account.stored)
    again = [each for each in proved if before[each] and after[each] > before[each]]
    assert not again, f"sent again: {again}"


async def checked(seed: int, service: Service, path: Path) -> None:
    """Live one history, and check it."""
    try:
        history = await lived(seed, service, path)
        ids = await recorded(history)
        no_wrong_id(history, ids)
        what_is_shown_is_found(history, ids)
        await nothing_proved_is_sent_again(history, ids)
        no_wrong_id(history, await recorded(history))
        await history.journal.aclose()
    except Exception as error:
        error.add_note(f"history {seed}")
        raise


@pytest.mark.parametrize("first", range(0, HISTORIES, A_TEST))
async def test_histories(service: Service, tmp_path: Path, first: int) -> None:
    """No wrong id is given, what arrived is not sent again by policy, and what the service shows is found."""
    # Most of the time they wait: for the disk, and for the breaker after a loss.
    left = iter(range(first, min(first + A_TEST, HISTORIES)))

    async def live() -> None:
        for number in left:
            seed = SEED * 1_000_003 + number
            await checked(seed, service, tmp_path / f"{seed}.journal")

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(live())
