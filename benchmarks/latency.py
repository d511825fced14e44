"""How long one message takes: alone, and while a campaign runs in the same program.

Beside it stands a POST by aiohttp, on a connection of its own as `send` makes it by default, and on a kept one. How
many messages go through is singles.py's.
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
from canned_server import WORKING, canned_server
from measuring import percentile, ratio, show

from devino_async import Accepted, DevinoClient, Message, PoolOptions, Priority

LONE = 200
ROUNDS = 5
CAMPAIGN = 10 * BATCH
TO = "79001234567"

Send = Callable[[], Awaitable[bool]]
Through = Callable[[str], Any]


@asynccontextmanager
async def by_post(url: str, *, keep: bool) -> AsyncIterator[tuple[Send, Send]]:
    """A POST of one message; and the plain campaign."""
    connector = aiohttp.TCPConnector(force_close=not keep)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": "Key key"}) as session:

        async def post(messages: list[dict[str, str]]) -> bool:
            async with session.post(f"{url}/sms/messages", json={"messages": messages}) as response:
                return all(result["code"] == "OK" for result in (await response.json())["result"])

        async def lone() -> bool:
            return await post([{"from": "MyCompany", "to": TO, "text": TEXT, "priority": "REALTIME"}])

        async def campaign() -> bool:
            done = True
            messages = made_dicts(CAMPAIGN)
            while batch := [message for _, message in zip(range(BATCH), messages, strict=False)]:
                done &= await post(batch)
            return done

        yield lone, campaign


@asynccontextmanager
async def by_client(url: str, *, keep: bool) -> AsyncIterator[tuple[Send, Send]]:
    """`send` of one message; and `send_many`."""
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
    """Milliseconds of lone sends, one after the other; all ways in turn within each round."""
    taken: dict[str, list[list[float]]] = {name: [[] for _ in range(ROUNDS)] for name in ways}
    for turn in range(ROUNDS):
        async with _opened(ways, url) as sends:
            for send, _ in sends.values():
                await send()
            for _ in range(LONE):
                for name, (send, _) in sends.items():
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
    """A row for each way; each send is compared with the POST before it."""
    names = list(taken)
    rows = []
    for name in names:
        floor = names[names.index(name) // 2 * 2]
        own, theirs = ([statistics.median(turn) for turn in taken[each]] for each in (name, floor))
        rows.append([name, *figures([each for turn in taken[name] for each in turn]), f"{ratio(own, theirs):.2f}"])
    return rows


WAYS: dict[str, Through] = {
    "a POST, connection of its own": partial(by_post, keep=False),
    "send": partial(by_client, keep=False),
    "a POST, kept connection": partial(by_post, keep=True),
    "send, reuse_connections=True": partial(by_client, keep=True),
}


def table() -> None:
    """Lone sends, and the same during a campaign."""
    warnings.simplefilter("ignore", ResourceWarning)
    with canned_server() as url:
        services = {f"answers after {WORKING * 1000:.0f} ms": f"{url}/slow", "answers at once": url}
        for service, address in services.items():
            taken = asyncio.run(alone(WAYS, address))
            show(
                f"one message at a time, {ROUNDS * LONE:,} times, ms, to a service on loopback that {service};\n"
                "aim: within 10 % of the POST",
                ["", "median", "p99", "longest", "times the POST"],
                lone_rows(taken),
            )
        rows = []
        for name in list(WAYS)[:2]:
            runs = [asyncio.run(beside_a_campaign(WAYS[name], url)) for _ in range(ROUNDS)]
            sends = [each for run in runs for each in run]
            calm = percentile([each for turn in taken[name] for each in turn], 0.99)
            rows.append([name, f"{len(sends):,}", *figures(sends), f"{calm:.2f}"])
        show(
            f"REALTIME messages while a campaign of {CAMPAIGN:,} is made and sent by the same program, ms",
            ["", "sends", "median", "p99", "longest", "p99 without"],
            rows,
        )


if __name__ == "__main__":
    table()
