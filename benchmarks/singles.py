"""Messages that come one by one: a request for each, as other SDKs send them, beside the SDK's ways.

The async client of Twilio's SDK is pointed at the same local server. CPU time is that of this process alone. Whole
batches are campaign.py's, how long one message takes is latency.py's.
"""

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from typing import Any

import aiohttp
from attrs import frozen
from campaign import TEXT, made_messages
from canned_server import canned_server
from measuring import OURS, Contender, in_turn, ratio, show

from devino_async import Accepted, DevinoClient

COUNT = 20_000
AT_ONCE = 50
ROUNDS = 3
RAW = f"raw aiohttp, {AT_ONCE} at once"
RAW_ALL = "raw aiohttp, all at once"
TWILIO = f"Twilio's async client, {AT_ONCE} at once"
TWILIO_MISSING = "Twilio's SDK is not installed and left out: pip install 'devino-async[bench]'"

Send = Callable[[int], Awaitable[bool]]


def has_twilio() -> bool:
    return find_spec("twilio") is not None


@asynccontextmanager
async def through_twilio(url: str) -> AsyncIterator[Send]:
    from twilio.http.async_http_client import AsyncTwilioHttpClient
    from twilio.rest import Client

    class Local(AsyncTwilioHttpClient):
        """Sends to the local server what is meant for Twilio's."""

        async def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            return await super().request(method, url.replace("https://api.twilio.com", here), *args, **kwargs)

    here = url
    async with Local() as http:
        client = Client("AC" + "0" * 32, "token", http_client=http)

        async def send(number: int) -> bool:
            to = f"+7900{number:07}"
            made = await client.messages.create_async(to=to, from_="MyCompany", body=TEXT)
            return made.sid is not None

        yield send


@asynccontextmanager
async def through_aiohttp(url: str) -> AsyncIterator[Send]:
    async with aiohttp.ClientSession(headers={"Authorization": "Key key"}) as session:

        async def send(number: int) -> bool:
            message = {"from": "MyCompany", "to": f"7900{number:07}", "text": TEXT}
            async with session.post(f"{url}/sms/messages", json={"messages": [message]}) as response:
                [result] = (await response.json())["result"]
            return bool(result["code"] == "OK")

        yield send


@asynccontextmanager
async def through_send(url: str) -> AsyncIterator[Send]:
    async with DevinoClient("key", base_url=url) as devino:
        messages = list(made_messages(COUNT))

        async def send(number: int) -> bool:
            return type(await devino.send(messages[number])) is Accepted

        yield send


async def one_by_one(through: Callable[[str], Any], at_once: int, url: str) -> int:
    """Send each message by a call of its own, so many at once. Return how many were accepted."""
    numbers = iter(range(COUNT))
    accepted = 0
    async with through(url) as send:

        async def sender() -> None:
            nonlocal accepted
            for number in numbers:
                done = await send(number)
                accepted += done

        await asyncio.gather(*(sender() for _ in range(at_once)))
    return accepted


async def as_stream(url: str) -> int:
    """All messages by one call of send_many."""
    async with DevinoClient("key", base_url=url) as devino:
        return sum([type(receipt) is Accepted async for receipt in devino.send_many(made_messages(COUNT))])


@frozen
class Spent:
    """One run: time on the clock and of the processor."""

    seconds: float
    cpu: float


def run(sending: Callable[[str], Any], url: str) -> Spent:
    began, cpu = time.perf_counter(), time.process_time()
    accepted = asyncio.run(sending(url))
    assert accepted == COUNT
    return Spent(time.perf_counter() - began, time.process_time() - cpu)


def contenders(url: str) -> list[Contender]:
    """Theirs first, ours last. Twilio's SDK is left out if it is not installed."""
    ways: dict[str, Callable[[str], Any]] = {
        RAW: partial(one_by_one, through_aiohttp, AT_ONCE),
        RAW_ALL: partial(one_by_one, through_aiohttp, COUNT),
        f"{OURS}: send, {AT_ONCE} at once": partial(one_by_one, through_send, AT_ONCE),
        f"{OURS}: send, all at once": partial(one_by_one, through_send, COUNT),
        f"{OURS}: send_many": as_stream,
    }
    if has_twilio():
        ways = {TWILIO: partial(one_by_one, through_twilio, AT_ONCE), **ways}
    return [Contender(name, lambda _, sending=sending: run(sending, url)) for name, sending in ways.items()]


def table() -> None:
    """A row for each way. The first round warms up and does not count."""
    # Twilio's client uses what aiohttp is about to drop.
    warnings.simplefilter("ignore", DeprecationWarning)
    with canned_server() as url:
        everybody = contenders(url)
        in_turn(everybody, 1, lambda each: each.work(None))
        spent = in_turn(everybody, ROUNDS, lambda each: each.work(None))
    cpu = {name: [each.cpu for each in runs] for name, runs in spent.items()}
    rows = []
    for name, runs in spent.items():
        against = [f"{ratio(cpu[other], cpu[name]):.1f}" if other in cpu else "-" for other in (RAW, RAW_ALL, TWILIO)]
        rate = COUNT / min(each.seconds for each in runs)
        rows.append([name, f"{min(cpu[name]) / COUNT * 1e6:,.0f}", f"{rate:,.0f}", *against])
    show(
        f"{COUNT:,} messages one by one; best of {ROUNDS}; the last columns say how many times less processor time\n"
        "a message takes than by a POST each and by Twilio's client; aim, when all are sent at once: 7 times",
        ["", "CPU us a message", "messages/s", f"than raw, {AT_ONCE}", "than raw, all", "than Twilio's"],
        rows,
    )
    if not has_twilio():
        print(TWILIO_MISSING)


if __name__ == "__main__":
    table()
