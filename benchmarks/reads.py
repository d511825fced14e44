"""Look-ups: statuses of 100,000 ids and 100,000 detail rows, typed, beside aiohttp with plain dicts one by one."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
from canned_server import DETAIL_ROWS, canned_server

from devino_async import DetailQuery, DevinoClient

COUNT = DETAIL_ROWS


async def plain_statuses(url: str) -> int:
    ids = [str(10**18 + number) for number in range(COUNT)]
    found: dict[str, Any] = {}
    async with aiohttp.ClientSession() as session:
        for start in range(0, COUNT, 500):
            target = f"{url}/sms-stat/statuses/get-by-ids"
            async with session.post(target, json=ids[start : start + 500]) as response:
                found |= {str(row["smsId"]): row for row in (await response.json())["result"]}
    return len(found)


async def our_statuses(url: str) -> int:
    async with DevinoClient("key", base_url=url) as devino:
        return len(await devino.statuses(str(10**18 + number) for number in range(COUNT)))


async def plain_details(url: str) -> int:
    rows = 0
    async with aiohttp.ClientSession() as session:
        for offset in range(0, COUNT, 500):
            async with session.get(f"{url}/sms-stat/detail?taskId=1&limit=500&offset={offset}") as response:
                for _ in (await response.json())["result"]["data"]:
                    rows += 1
    return rows


async def our_details(url: str) -> int:
    rows = 0
    async with DevinoClient("key", base_url=url) as devino:
        async for _ in devino.details(DetailQuery(task_id=1), page_size=500):
            rows += 1
    return rows


def rate(work: Callable[[str], Coroutine[Any, Any, int]], url: str) -> float:
    began = time.perf_counter()
    assert asyncio.run(work(url)) == COUNT
    return COUNT / (time.perf_counter() - began)


def table() -> None:
    """A row for each kind; the second round counts, as the server has its answers ready then."""
    print(f"\nlook-ups of {COUNT:,}, rows a second")
    print(f"{'':20}{'plain aiohttp':>16}{'devino_async':>16}{'ratio':>8}")
    with canned_server() as url:
        for name, theirs, ours in (
            ("statuses", plain_statuses, our_statuses),
            ("details", plain_details, our_details),
        ):
            rate(theirs, url)
            plain, own = rate(theirs, url), rate(ours, url)
            print(f"{name:20}{plain:>16,.0f}{own:>16,.0f}{own / plain:>8.2f}")


if __name__ == "__main__":
    table()
