"""Look-ups: statuses of 100,000 ids and 100,000 detail rows, typed and matched.

Beside them stand aiohttp with plain dicts, one call after the other, and the same with the fields typed by hand. JSON
alone is json_libraries.py's.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import aiohttp
from canned_server import DETAIL_ROWS, canned_server
from measuring import OURS, Contender, in_turn, seconds, show, speeds

from devino_async import DetailQuery, DevinoClient

COUNT = DETAIL_ROWS
PAGE = 500
ROUNDS = 3
PLAIN = "plain aiohttp, dicts"
BY_HAND = "the same, typed by hand"

exact_loads = partial(json.loads, parse_float=Decimal)


class BareStatus:
    """A status that checks nothing."""

    __slots__ = ("message_id", "status", "status_date_time")

    def __init__(self, row: dict[str, Any]) -> None:
        self.message_id = str(row["smsId"])
        self.status = row["status"]
        self.status_date_time = datetime.fromisoformat(row["statusDateTime"])


class BareDetail:
    """A detail row that checks nothing: ids as text, dates as dates, the rest as it comes."""

    __slots__ = ("event_date_time", "message_id", "rest", "segment_id", "sent_date_time")

    def __init__(self, row: dict[str, Any]) -> None:
        self.message_id = str(row.pop("messageId"))
        self.segment_id = str(row.pop("segmentId"))
        self.sent_date_time = datetime.fromisoformat(row.pop("sentDateTime"))
        self.event_date_time = datetime.fromisoformat(row.pop("eventDateTime"))
        self.rest = row


async def plain_statuses(make: Callable[[dict[str, Any]], Any], loads: Callable[[str], Any], url: str) -> int:
    ids = [str(10**18 + number) for number in range(COUNT)]
    found: dict[str, Any] = {}
    async with aiohttp.ClientSession() as session:
        for start in range(0, COUNT, PAGE):
            target = f"{url}/sms-stat/statuses/get-by-ids"
            async with session.post(target, json=ids[start : start + PAGE]) as response:
                found |= {str(row["smsId"]): make(row) for row in (await response.json(loads=loads))["result"]}
    return len(found)


async def our_statuses(url: str) -> int:
    async with DevinoClient("key", base_url=url) as devino:
        return len(await devino.statuses(str(10**18 + number) for number in range(COUNT)))


async def plain_rows(url: str, loads: Callable[[str], Any]) -> AsyncIterator[dict[str, Any]]:
    async with aiohttp.ClientSession() as session:
        for offset in range(0, COUNT, PAGE):
            async with session.get(f"{url}/sms-stat/detail?taskId=1&limit={PAGE}&offset={offset}") as response:
                for row in (await response.json(loads=loads))["result"]["data"]:
                    yield row


async def plain_details(make: Callable[[dict[str, Any]], Any], loads: Callable[[str], Any], url: str) -> int:
    rows = 0
    async for row in plain_rows(url, loads):
        make(row)
        rows += 1
    return rows


async def our_details(url: str) -> int:
    rows = 0
    async with DevinoClient("key", base_url=url) as devino:
        async for _ in devino.details(DetailQuery(task_id=1), page_size=PAGE):
            rows += 1
    return rows


def as_it_is(row: dict[str, Any]) -> dict[str, Any]:
    return row


def contenders(url: str) -> dict[str, list[Contender]]:
    """All contenders, for each look-up."""

    def run(work: Callable[[str], Coroutine[Any, Any, int]], _: object) -> None:
        found = asyncio.run(work(url))
        assert found == COUNT

    works: dict[str, dict[str, Callable[[str], Coroutine[Any, Any, int]]]] = {
        "statuses": {
            PLAIN: partial(plain_statuses, as_it_is, json.loads),
            BY_HAND: partial(plain_statuses, BareStatus, exact_loads),
            OURS: our_statuses,
        },
        "details": {
            PLAIN: partial(plain_details, as_it_is, json.loads),
            BY_HAND: partial(plain_details, BareDetail, exact_loads),
            OURS: our_details,
        },
    }
    return {
        group: [Contender(name, partial(run, work)) for name, work in ways.items()] for group, ways in works.items()
    }


def table() -> None:
    """A table for each look-up. One run before them makes the server prepare its answers."""
    with canned_server() as url:
        for group, everybody in contenders(url).items():
            everybody[0].work(None)
            show(
                f"{group} of {COUNT:,}, {PAGE} to a call; best of {ROUNDS}",
                ["", "rows/s", "ms", "ours is faster by"],
                speeds(COUNT, everybody, in_turn(everybody, ROUNDS, partial(seconds, collecting=True))),
            )


if __name__ == "__main__":
    table()
