"""Campaigns of filled templates: a journal knows their messages as those that the rows make one by one."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from loopback_service import Service, accept_all

from devino_async import Accepted, DevinoClient, InvalidMessage, Limits, NotSent, Receipt, Template
from devino_async.campaigns import CampaignChanged, SQLiteJournal

pytestmark = pytest.mark.usefixtures("no_leaks")
TEMPLATE = Template(sender="MyCompany", text='Заказ "{a}"')
ROWS = [{"to": f"7900{number:07}", "a": f"№ {number}"} for number in range(500)]


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SQLiteJournal]:
    async with SQLiteJournal(tmp_path / "sms.journal") as made:
        yield made


async def run(service: Service, journal: SQLiteJournal, some: Any, **options: Any) -> list[Receipt]:
    limits = Limits(in_flight=1)
    async with DevinoClient("key", base_url=service.url, journal=journal, limits=limits) as devino:
        return [each async for each in devino.send_many(some, campaign="sale", batch_size=100, **options)]


def sent(service: Service) -> list[str]:
    return [each["to"] for _, _, _, body in service.requests for each in body["messages"]]


@pytest.mark.parametrize("filled_first", [False, True])
async def test_replayed(service: Service, journal: SQLiteJournal, filled_first: bool) -> None:
    """What was sent from a filled template is known when the rows make messages one by one, and the other way."""
    filled, single = TEMPLATE.fill(ROWS), [TEMPLATE.message(row) for row in ROWS]
    first = await run(service, journal, filled if filled_first else single)
    again = await run(service, journal, single if filled_first else filled)
    assert again == first
    assert [each.message for each in again] == single
    assert sent(service) == [row["to"] for row in ROWS]


async def test_not_sent_is_sent_by_the_next_run(service: Service, journal: SQLiteJournal) -> None:
    """Rows that are proved unsent are sent by the next run, with the same bytes, and no other row is."""

    async def refusing(request: web.Request, body: Any) -> web.StreamResponse:
        if body["messages"][0]["to"] == ROWS[200]["to"]:
            return web.json_response({"code": "BAD", "description": "no"}, status=400)
        return await accept_all(request, body)

    service.answering = refusing
    first = await run(service, journal, TEMPLATE.fill(ROWS))
    assert [each.message.to for each in first if isinstance(each, NotSent)] == [row["to"] for row in ROWS[200:300]]
    refused = [body for _, _, _, body in service.requests if body["messages"][0]["to"] == ROWS[200]["to"]]
    service.answering = accept_all
    service.requests.clear()
    again = await run(service, journal, TEMPLATE.fill(ROWS))
    assert {type(each) for each in again} == {Accepted}
    assert [each.message for each in again] == [TEMPLATE.message(row) for row in ROWS]
    [(_, _, _, body)] = service.requests
    assert body == refused[0]


async def test_only_new(service: Service, journal: SQLiteJournal) -> None:
    """With `only_new` rows are known by content in any order, and only new rows are sent."""
    await run(service, journal, TEMPLATE.fill(ROWS[:400]))
    service.requests.clear()
    mixed = random.Random(1).sample(ROWS, len(ROWS))
    receipts = await run(service, journal, TEMPLATE.fill(mixed), only_new=True)
    assert [each.message for each in receipts] == [TEMPLATE.message(row) for row in mixed]
    assert sorted(sent(service)) == [row["to"] for row in ROWS[400:]]


async def test_another_value_is_another_message(service: Service, journal: SQLiteJournal) -> None:
    """A row whose value changed is a difference at its position, and nothing from there on is sent."""
    await run(service, journal, TEMPLATE.fill(ROWS[:300]))
    service.requests.clear()
    changed = [*ROWS[:250], {**ROWS[250], "a": "other"}, *ROWS[251:]]
    with pytest.raises(CampaignChanged) as raised:
        await run(service, journal, TEMPLATE.fill(changed))
    assert (raised.value.position, raised.value.reason) == (250, "message")
    assert sent(service) == []


async def test_a_bad_row_in_a_campaign(service: Service, journal: SQLiteJournal) -> None:
    """A bad row ends a run before it. Once it is mended, the next run sends what is left and nothing twice."""
    bad = [*ROWS[:250], {**ROWS[250], "a": ""}, *ROWS[251:]]
    with pytest.raises(InvalidMessage) as raised:
        await run(service, journal, TEMPLATE.fill(bad))
    assert raised.value.position == 250
    assert sent(service) == [row["to"] for row in ROWS[:250]]
    receipts = await run(service, journal, TEMPLATE.fill(ROWS))
    assert {type(each) for each in receipts} == {Accepted}
    assert sent(service) == [row["to"] for row in ROWS]
