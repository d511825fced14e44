"""A campaign over full batches: send_many beside the plain aiohttp loop that a user would write.

The plain loop makes dicts, posts them with `json=`, reads `await response.json()`, checks nothing. Both send the same
messages to the same server. "ready" has its messages or dicts made before the clock starts, "making" makes them on the
way. "own texts" are different for each message. Otherwise all messages have one text. How long the event loop is
blocked is seen by a task that asks to be woken every half millisecond. One message a request is singles.py's.
"""

import asyncio
import gc
import statistics
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import aiohttp
from attrs import frozen
from canned_server import canned_server
from measuring import OURS, Contender, in_turn, percentile, ratio, show

from devino_async import Accepted, DevinoClient, Message

TEXT = "Уважаемый клиент, ваш заказ готов к выдаче в магазине, ждём вас завтра"
BATCH = 32_000
COUNT = 10 * BATCH
ROUNDS = 5
ROUNDS_WITHOUT_COLLECTION = 3

Sending = Callable[[str, Iterable[Any]], Awaitable[int]]


def made_messages(count: int) -> Iterable[Message]:
    return (Message(sender="MyCompany", to=f"7900{number:07}", text=TEXT) for number in range(count))


def made_dicts(count: int) -> Iterable[dict[str, str]]:
    return ({"from": "MyCompany", "to": f"7900{number:07}", "text": TEXT} for number in range(count))


def own_text(number: int) -> str:
    """A text of the same length that no other message has."""
    return f"{number:07}{TEXT[7:]}"


def own_messages(count: int) -> Iterable[Message]:
    return (Message(sender="MyCompany", to=f"7900{number:07}", text=own_text(number)) for number in range(count))


def own_dicts(count: int) -> Iterable[dict[str, str]]:
    return ({"from": "MyCompany", "to": f"7900{number:07}", "text": own_text(number)} for number in range(count))


async def plain(url: str, messages: Iterable[Any]) -> int:
    """Send by the plain loop. Return how many messages were accepted."""
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
    """Send by the SDK. Return how many messages were accepted."""
    accepted = 0
    async with DevinoClient("key", base_url=url) as devino:
        async for receipt in devino.send_many(messages):
            accepted += type(receipt) is Accepted
    return accepted


def run(sending: Sending, url: str, count: int, messages: Iterable[Any]) -> None:
    """The whole campaign on an event loop of its own."""
    accepted = asyncio.run(sending(url, messages))
    assert accepted == count


def contenders(url: str, count: int = COUNT) -> dict[str, list[Contender]]:
    """Both ways, for each way to come by the messages."""

    def made(sending: Sending, name: str, make: Callable[[], Iterable[Any]]) -> Contender:
        return Contender(name, partial(run, sending, url, count), make)

    return {
        "ready": [
            made(plain, "plain aiohttp", lambda: list(made_dicts(count))),
            made(ours, OURS, lambda: list(made_messages(count))),
        ],
        "ready, own texts": [
            made(plain, "plain aiohttp", lambda: list(own_dicts(count))),
            made(ours, OURS, lambda: list(own_messages(count))),
        ],
        "making": [
            made(plain, "plain aiohttp", lambda: made_dicts(count)),
            made(ours, OURS, lambda: made_messages(count)),
        ],
        "making, own texts": [
            made(plain, "plain aiohttp", lambda: own_dicts(count)),
            made(ours, OURS, lambda: own_messages(count)),
        ],
    }


@frozen
class Seen:
    """One run: how long it took, and how late the event loop was each time, in milliseconds."""

    seconds: float
    stalls: list[float]


async def watched(work: Awaitable[int], stalls: list[float]) -> int:
    """Return the work's result. How late the event loop was for each wake-up goes to `stalls`."""

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


def seen(contender: Contender, *, collecting: bool) -> Seen:
    """One run of a contender whose work is `run`, with the event loop watched."""
    sending, url, count = contender.work.args  # type: ignore[attr-defined]
    messages = contender.prepare()
    stalls: list[float] = []
    gc.collect()
    if not collecting:
        gc.disable()
    try:
        began = time.perf_counter()
        accepted = asyncio.run(watched(sending(url, messages), stalls))
        taken = time.perf_counter() - began
    finally:
        gc.enable()
    assert accepted == count
    return Seen(taken, stalls)


def rows_of(name: str, url: str) -> Iterable[list[str]]:
    """The rows of the table for one way to come by the messages."""
    both = contenders(url)[name]
    on = in_turn(both, ROUNDS, partial(seen, collecting=True))
    off = in_turn(both, ROUNDS_WITHOUT_COLLECTION, partial(seen, collecting=False))
    ours_on = [each.seconds for each in on[OURS]]
    for each in both:
        taken = [run.seconds for run in on[each.name]]
        shown = [f"{name}, {each.name}", f"{COUNT / min(taken):,.0f}"]
        for runs in (on[each.name], off[each.name]):
            longest = [max(run.stalls) for run in runs]
            p99 = [percentile(run.stalls, 0.99) for run in runs]
            shown += [f"{statistics.median(longest):.1f}", f"{max(longest):.1f}", f"{statistics.median(p99):.1f}"]
        yield [*shown, "" if each.name == OURS else f"{ratio(taken, ours_on):.2f}"]


def table() -> None:
    """Two rows for each way to come by the messages."""
    warnings.simplefilter("ignore", ResourceWarning)
    heads = ["", "messages/s", "stall", "worst", "p99", "gc off: stall", "worst", "p99", "ours is faster by"]
    with canned_server() as url:
        show(
            f"campaign of {COUNT:,} messages, 70 Cyrillic characters each, batches of {BATCH:,}; best of {ROUNDS};\n"
            'stalls in ms: "stall" is the longest of a run, median of the runs, "worst" the longest of all runs',
            heads,
            [row for name in contenders(url) for row in rows_of(name, url)],
        )


if __name__ == "__main__":
    table()
