"""How long one message takes: alone, and while a campaign runs in the same program.

Beside it stands a POST by aiohttp, on a connection of its own as `send` makes it by default, and on a kept one. The
same POST stands there in a task of its own behind a shield. Without these two, a cancelled caller would cut it short.
How many messages go through is singles.py's.
"""

import asyncio
import statistics
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
from campaign import BATCH, TEXT, made_dicts, made_messages
from canned_server import canned_server
from measuring import Contender, percentile, ratio, show

from devino_async import Accepted, DevinoClient, Message, PoolOptions, Priority

LONE = 120
ROUNDS = 5
# Seconds between two lone sends, so that none pays for what the one before leaves to be torn down.
SETTLING = 0.002
CAMPAIGN = 10 * BATCH
TO = "79001234567"
SERVICE_TIMES = (0, 3, 10)
"""Milliseconds that the service takes to answer. On loopback and from memory it takes none."""

Send = Callable[[], Awaitable[bool]]
Through = Callable[[str], Any]


@asynccontextmanager
async def by_post(url: str, *, keep: bool, shield: bool = False) -> AsyncIterator[tuple[Send, Send]]:
    """A POST of one message, and the plain campaign."""
    connector = aiohttp.TCPConnector(force_close=not keep)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": "Key key"}) as session:

        async def post(messages: list[dict[str, str]]) -> bool:
            async with session.post(f"{url}/sms/messages", json={"messages": messages}) as response:
                return all(result["code"] == "OK" for result in (await response.json())["result"])

        async def lone() -> bool:
            posting = post([{"from": "MyCompany", "to": TO, "text": TEXT, "priority": "REALTIME"}])
            return await (asyncio.shield(asyncio.create_task(posting)) if shield else posting)

        async def campaign() -> bool:
            done = True
            messages = made_dicts(CAMPAIGN)
            while batch := [message for _, message in zip(range(BATCH), messages, strict=False)]:
                done &= await post(batch)
            return done

        yield lone, campaign


@asynccontextmanager
async def by_client(url: str, *, keep: bool) -> AsyncIterator[tuple[Send, Send]]:
    """`send` of one message, and `send_many`."""
    async with DevinoClient("key", base_url=url, pool=PoolOptions(reuse_connections=keep)) as devino:

        async def lone() -> bool:
            message = Message(sender="MyCompany", to=TO, text=TEXT, priority=Priority.REALTIME)
            return type(await devino.send(message)) is Accepted

        async def campaign() -> bool:
            accepted = 0
            async for receipt in devino.send_many(made_messages(CAMPAIGN)):
                accepted += type(receipt) is Accepted
            return accepted == CAMPAIGN

        yield lone, campaign


async def timed(send: Send) -> float:
    began = time.perf_counter()
    assert await send()
    return (time.perf_counter() - began) * 1000


async def alone(ways: dict[str, Through], url: str) -> dict[str, list[list[float]]]:
    """Milliseconds of lone sends, one after the other. All ways take turns, every other time backwards."""
    taken: dict[str, list[list[float]]] = {name: [[] for _ in range(ROUNDS)] for name in ways}
    for turn in range(ROUNDS):
        async with _opened(ways, url) as sends:
            for send, _ in sends.values():
                await send()
            there = list(sends.items())
            for number in range(LONE):
                for name, (send, _) in there if number % 2 == 0 else reversed(there):
                    await asyncio.sleep(SETTLING)
                    taken[name][turn].append(await timed(send))
    return taken


@asynccontextmanager
async def _opened(ways: dict[str, Through], url: str) -> AsyncIterator[dict[str, tuple[Send, Send]]]:
    async with asyncio.TaskGroup(), _all([way(url) for way in ways.values()]) as opened:
        yield dict(zip(ways, opened, strict=True))


@asynccontextmanager
async def _all(contexts: list[Any]) -> AsyncIterator[list[Any]]:
    if not contexts:
        yield []
        return
    async with contexts[0] as first, _all(contexts[1:]) as others:
        yield [first, *others]


async def beside_a_campaign(way: Through, url: str) -> list[float]:
    """Milliseconds of lone sends, one every 5 ms, as long as a campaign of the same client takes."""
    async with way(url) as (send, campaign):
        await send()
        running = asyncio.ensure_future(campaign())
        sends: list[asyncio.Task[float]] = []
        while not running.done():
            sends.append(asyncio.create_task(timed(send)))
            await asyncio.sleep(0.005)
        assert await running
        return await asyncio.gather(*sends)


def figures(taken: list[float]) -> list[str]:
    return [f"{statistics.median(taken):.2f}", f"{percentile(taken, 0.99):.2f}", f"{max(taken):.1f}"]


def lone_rows(taken: dict[str, list[list[float]]]) -> list[list[str]]:
    """A row for each way. It is compared with the POST that its name stands under."""
    rows = []
    floor: list[float] = []
    for name, turns in taken.items():
        medians = [statistics.median(turn) for turn in turns]
        if name in FLOORS:
            floor = medians
        rows.append([name, *figures([each for turn in turns for each in turn]), f"{ratio(medians, floor):.2f}"])
    return rows


POST = "a POST, connection of its own"
SEND = "send"
POST_KEPT = "a POST, kept connection"
FLOORS = {POST, POST_KEPT}
WAYS: dict[str, Through] = {
    POST: partial(by_post, keep=False),
    "the same, shielded": partial(by_post, keep=False, shield=True),
    SEND: partial(by_client, keep=False),
    POST_KEPT: partial(by_post, keep=True),
    "the same on it, shielded": partial(by_post, keep=True, shield=True),
    "send, reuse_connections=True": partial(by_client, keep=True),
}


async def one_after_the_other(way: Through, url: str, count: int) -> None:
    """So many lone sends."""
    async with way(url) as (send, _):
        for _ in range(count):
            assert await send()


def contenders(url: str, count: int = LONE) -> list[Contender]:
    """Lone sends, each way: the POSTs and those that stand beside them."""
    return [
        Contender(name, lambda _, way=way: asyncio.run(one_after_the_other(way, url, count)))
        for name, way in WAYS.items()
    ]


def table() -> None:
    """Lone sends, and the same during a campaign."""
    warnings.simplefilter("ignore", ResourceWarning)
    with canned_server() as url:
        calm: dict[str, list[float]] = {}
        for after in SERVICE_TIMES:
            taken = asyncio.run(alone(WAYS, f"{url}/after/{after}" if after else url))
            calm = calm or {name: [each for turn in turns for each in turn] for name, turns in taken.items()}
            service = f"answers after {after} ms" if after else "answers at once"
            show(
                f"one message at a time, {ROUNDS * LONE:,} times, ms, to a service on loopback that {service};\n"
                "aim: within 10 % of the POST",
                ["", "median", "p99", "longest", "times the POST"],
                lone_rows(taken),
            )
        rows = []
        for name in (POST, SEND):
            runs = [asyncio.run(beside_a_campaign(WAYS[name], url)) for _ in range(ROUNDS)]
            sends = [each for run in runs for each in run]
            rows.append([name, f"{len(sends):,}", *figures(sends), f"{percentile(calm[name], 0.99):.2f}"])
        show(
            f"REALTIME messages while a campaign of {CAMPAIGN:,} is made and sent by the same program, ms",
            ["", "sends", "median", "p99", "longest", "p99 without"],
            rows,
        )


if __name__ == "__main__":
    table()
