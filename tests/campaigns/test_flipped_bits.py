"""A journal in which one bit is wrong: it is refused with a clear error, or its results are right."""

import random
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback_service import Service

from devino_async import Accepted, DevinoClient, Message, Receipt
from devino_async.campaigns import JournalError, SQLiteJournal

pytestmark = pytest.mark.usefixtures("no_leaks")
_CAMPAIGN = [Message(sender="MyCompany", to=f"7900{number:07}", text="text") for number in range(120)]
_KEYED = [Message(sender="MyCompany", to=f"7900{number:07}", text="text") for number in range(200, 220)]
_FLIPS = 40


class Counting:
    """Accepts everything, and remembers the id of each acceptance."""

    def __init__(self, service: Service) -> None:
        self.ids: dict[str, list[str]] = {}
        self.count = 0
        service.answering = self.answer

    async def answer(self, request: web.Request, body: Any) -> web.StreamResponse:
        result = []
        for each in body["messages"]:
            self.count += 1
            self.ids.setdefault(each["to"], []).append(str(self.count))
            result.append({"code": "OK", "messageId": str(self.count)})
        return web.json_response({"result": result})

    def of_campaigns(self) -> dict[str, list[str]]:
        """The ids of each recipient of the campaigns."""
        return {each.to: list(self.ids[each.to]) for each in _CAMPAIGN}


async def everything(url: str, path: Path) -> tuple[list[Receipt], Counter[str]]:
    """Run two campaigns, one of them by content, and keyed sends. Return the receipts, and the errors by name."""
    receipts: list[Receipt] = []
    errors: Counter[str] = Counter()
    try:
        async with SQLiteJournal(path) as journal, DevinoClient("key", base_url=url, journal=journal) as devino:
            for name, some in (("spring", _CAMPAIGN), ("reversed", _CAMPAIGN[::-1])):
                try:
                    stream = devino.send_many(some, campaign=name, batch_size=20, only_new=name == "reversed")
                    async for each in stream:
                        receipts.append(each)  # noqa: PERF401 - what came before an error counts
                except JournalError as error:
                    errors[type(error).__name__] += 1
            for message in _KEYED:
                try:
                    receipts.append(await devino.send(message, key=message.to))
                except JournalError as error:
                    errors[type(error).__name__] += 1
    except JournalError as error:
        errors[type(error).__name__] += 1
    return receipts, errors


async def test_one_flipped_bit(service: Service, tmp_path: Path) -> None:
    """Whichever bit is flipped, no campaign sends twice, each acceptance has its own id, and errors are JournalErrors.

    A key is found by its own text alone. If a bit of that row is wrong, the key may be new, and is sent once more.
    """
    counting = Counting(service)
    path = tmp_path / "sms.journal"
    _, errors = await everything(service.url, path)
    assert not errors
    sent_before = counting.of_campaigns()
    plain = path.read_bytes()
    chance = random.Random(14)
    live = [at for at, byte in enumerate(plain) if byte]
    refused = 0
    for number in range(_FLIPS):
        damaged = bytearray(plain)
        damaged[chance.choice(live)] ^= 1 << chance.randrange(8)
        copy = tmp_path / str(number) / "sms.journal"
        copy.parent.mkdir()
        copy.write_bytes(damaged)
        receipts, errors = await everything(service.url, copy)
        assert counting.of_campaigns() == sent_before, f"flip {number} sent something"
        assert all(each.message_id in counting.ids[each.message.to] for each in receipts if isinstance(each, Accepted))
        refused += errors.total() > 0
    assert refused > _FLIPS // 10


async def test_a_damaged_extent(service: Service, tmp_path: Path) -> None:
    """If the stored extent of a campaign is too small, no run takes what was sent for new."""
    counting = Counting(service)
    path = tmp_path / "sms.journal"
    await everything(service.url, path)
    sent_before = counting.of_campaigns()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE campaign SET recorded = 56, span = 1")
    _, errors = await everything(service.url, path)
    assert not errors
    assert counting.of_campaigns() == sent_before
