"""A campaign over full batches: send_many beside the plain aiohttp loop that a user would write.

The plain loop makes dicts, posts them with `json=`, reads `await response.json()`, checks nothing. Both send the same
messages to the same server. "ready" has the messages or dicts made before the clock starts, "making" makes them on
the way. Also the longest time that the event loop was held up, seen by a task that asks to be woken every half
millisecond.
"""

import asyncio
import gc
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiohttp
from canned_server import canned_server

from devino_async import Accepted, DevinoClient, Message

TEXT = "Уважаемый клиент, ваш заказ готов к выдаче в магазине, ждём вас завтра"
BATCH = 32_000
ROUNDS = 3

Sending = Callable[[str, Iterable[Any]], Awaitable[int]]


def made_messages(count: int) -> Iterable[Message]:
    return (Message(sender="MyCompany", to=f"7900{number:07}", text=TEXT) for number in range(count))


def made_dicts(count: int) -> Iterable[dict[str, str]]:
    return ({"from": "MyCompany", "to": f"7900{number:07}", "text": TEXT} for number in range(count))


async def plain(url: str, messages: Iterable[Any]) -> int:
    accepted = 0
    async with aiohttp.ClientSession(headers={"Authorization": "Key key"}) as session:
        batch: list[Any] = []
        for message in messages:
            batch.append(message)
            if len(batch) == BATCH:
                async with session.post(f"{url}/sms/messages", json={"messages": batch}) as response:
                    results = (await response.json())["result"]
                accepted += sum(result["code"] == "OK" for _, result in zip(batch, results, strict=True))
                batch = []
    return accepted


async def ours(url: str, messages: Iterable[Any]) -> int:
    accepted = 0
    async with DevinoClient("key", base_url=url) as devino:
        async for receipt in devino.send_many(messages):
            accepted += type(receipt) is Accepted
    return accepted


async def watched(work: Awaitable[int], stalls: list[float]) -> int:
    """The work's result; what the event loop was late for a wake-up, in milliseconds, goes to `stalls`."""

    async def watch() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.0005)
            now = time.perf_counter()
            stalls.append((now - last) * 1000 - 0.5)
            last = now

    watching = asyncio.create_task(watch())
    try:
        return await work
    finally:
        watching.cancel()


def timed(sending: Sending, url: str, messages: Iterable[Any], count: int) -> tuple[float, float, float]:
    """Messages a second, longest stall and 99th percentile in milliseconds."""
    stalls: list[float] = []
    gc.collect()
    began = time.perf_counter()
    accepted = asyncio.run(watched(sending(url, messages), stalls))
    seconds = time.perf_counter() - began
    assert accepted == count
    stalls.sort()
    return count / seconds, stalls[-1], stalls[int(len(stalls) * 0.99)]


def table(count: int = 10 * BATCH) -> None:
    """The best of a few rounds, taken in turn."""
    warnings.simplefilter("ignore", ResourceWarning)
    print(f"\ncampaign of {count:,} messages, 70 Cyrillic characters each, batches of {BATCH:,}; best of {ROUNDS}")
    print(f"{'':16}{'plain aiohttp':>40}{'devino_async':>40}{'ratio':>8}")
    print(f"{'':16}{'messages/s   longest stall   p99':>40}{'messages/s   longest stall   p99':>40}")
    with canned_server() as url:
        for name, dicts, messages in (
            ("ready", list(made_dicts(count)), list(made_messages(count))),
            ("making", None, None),
        ):
            rows: dict[Any, list[tuple[float, float, float]]] = {plain: [], ours: []}
            for _ in range(ROUNDS):
                rows[plain].append(timed(plain, url, dicts or made_dicts(count), count))
                rows[ours].append(timed(ours, url, messages or made_messages(count), count))
            best = {sending: max(seen) for sending, seen in rows.items()}
            shown = "".join(f"{rate:>16,.0f}{longest:>13.1f} ms{p99:>5.1f} ms" for rate, longest, p99 in best.values())
            print(f"{name:16}{shown}{best[ours][0] / best[plain][0]:>8.2f}")


if __name__ == "__main__":
    table()
