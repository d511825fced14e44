"""Smoke: the client against the sandbox, whole ways: send, look up, page and count. Then a service that fails."""

import socket
from datetime import UTC, datetime, timedelta

import pytest

from devino_async import (
    Accepted,
    DeadlineExceeded,
    DetailQuery,
    DevinoClient,
    Limits,
    Message,
    NotSent,
    Priority,
    Rejected,
    RetryPolicy,
    Status,
    Unauthorized,
)
from devino_async.sandbox import Sandbox


def campaign(count: int) -> list[Message]:
    """Messages in two alphabets. The sandbox rejects every tenth for its sender."""
    return [
        Message(
            sender="Unknown" if number % 10 == 9 else "MyCompany",
            to=f"7900{number:07}",
            text=("Hello {}", "Привет {}")[number % 2].format(number),
        )
        for number in range(count)
    ]


async def test_a_campaign(sandbox: Sandbox) -> None:
    """Many messages go out in batches, one receipt each in input order. What was sent can be looked up and counted."""
    sent = campaign(500)
    async with DevinoClient("right", base_url=sandbox.url, limits=Limits(messages_per_second=100_000)) as devino:
        receipts = [receipt async for receipt in devino.send_many(iter(sent), batch_size=100, include_segment_id=True)]
        assert [receipt.message for receipt in receipts] == sent
        assert [type(receipt) for receipt in receipts] == ([Accepted] * 9 + [Rejected]) * 50
        ids = [receipt.message_id for receipt in receipts if isinstance(receipt, Accepted)]
        statuses = {each.message_id: each.status async for each in devino.iter_statuses(ids)}
        assert set(statuses) == set(ids)
        now = datetime.now(UTC).replace(tzinfo=None)
        day = timedelta(days=1)
        rows = devino.details(DetailQuery(date_time_from=now - day, date_time_to=now + day), page_size=200)
        assert {row.message_id async for row in rows} >= set(ids)
        assert (await devino.statistics(now - day, now + day)).messages
        assert (await devino.account()).balance


async def test_one_message(sandbox: Sandbox) -> None:
    """One message gets one receipt, an urgent one too. `send_all` gathers many, and a single id has its status."""
    bulk, urgent = campaign(1)[0], Message(sender="MyCompany", to="79000000001", text="x", priority=Priority.REALTIME)
    async with DevinoClient("right", base_url=sandbox.url) as devino:
        receipt = (await devino.send(bulk)).raise_for_outcome()
        assert isinstance(await devino.send(urgent), Accepted)
        assert (await devino.send_all(campaign(20))).total == 20
        [status] = (await devino.statuses([receipt.message_id])).values()
    assert isinstance(status.status, Status)


async def test_failures(sandbox: Sandbox) -> None:
    """A wrong key ends a stream with its error. Without a server the deadline ends, and the message is NotSent."""
    async with DevinoClient("wrong", base_url=sandbox.url) as devino:
        with pytest.raises(Unauthorized):
            await devino.send_all(campaign(3))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        retry = RetryPolicy(attempts=2, deadline=0.1)
        async with DevinoClient("right", base_url=nowhere, retry=retry) as devino:
            receipt = await devino.send(campaign(1)[0])
    assert isinstance(receipt, NotSent)
    assert isinstance(receipt.error, DeadlineExceeded)
    assert receipt.error.attempts == 1
