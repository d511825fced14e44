"""Receiving callbacks: a receiver in a process of its own, fed over HTTP from many connections.

First a proof, with figures: 200,000 events, each twice and all shuffled. Every final state is right and every unique
event is stored once. Then events a second and how long a request takes, by events a request, in memory and in a file.
"""

import asyncio
import json
import multiprocessing
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from measuring import percentile, show

from devino_async import CallbackReceiver, DeliveryTracker, MemoryStore, SQLiteStore, new_token
from devino_async.contrib.aiohttp_web import serving

MESSAGES = 50_000
CONNECTIONS = 50
EVENTS_OF_A_KIND = 40_000
STEPS = ("ACCEPTED", "ENROUTE", "SENT")
ENDS = ("DELIVERED", "EXPIRED", "UNDELIVERABLE", "REJECTED")
MILLISECONDS = 1_613_404_835_000


def serve(ready: Connection, token: str, path: str) -> None:
    async def forever() -> None:
        tracker = DeliveryTracker(SQLiteStore(path) if path else MemoryStore())
        async with serving(CallbackReceiver(token=token, on_status=tracker.on_status)) as address:
            ready.send(address)
            await asyncio.to_thread(ready.recv)
        await tracker.aclose()

    asyncio.run(forever())


@contextmanager
def receiver(path: str = "") -> Iterator[str]:
    """The address of a receiver, token included, in a process of its own, with a file or in memory."""
    here, there = multiprocessing.Pipe()
    token = new_token()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there, token, path), daemon=True)
    process.start()
    there.close()
    try:
        yield f"{here.recv()}/{token}"
        here.send(None)
        process.join(30)
    finally:
        process.terminate()
        process.join()


def event(message_id: int, step: int, status: str) -> dict[str, Any]:
    return {"messageId": str(message_id), "ts": MILLISECONDS + step, "status": status, "errorCode": 0}


@asynccontextmanager
async def many_connections() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        yield session


async def post_all(url: str, bodies: Iterator[bytes]) -> list[float]:
    """POST all of them over many connections. Return how long each request took, in milliseconds."""
    taken: list[float] = []

    async def sender(session: aiohttp.ClientSession) -> None:
        for body in bodies:
            began = time.perf_counter()
            async with session.post(url, data=body) as response:
                assert response.status == 200
            taken.append((time.perf_counter() - began) * 1000)

    async with many_connections() as session:
        await asyncio.gather(*(sender(session) for _ in range(CONNECTIONS)))
    return taken


def shuffled(chance: random.Random, ends: dict[int, str]) -> Iterator[bytes]:
    """Every event twice, in any order, in requests of 1 to 100 events."""
    told = [event(each, step, status) for each, end in ends.items() for step, status in enumerate((*STEPS, end))] * 2
    chance.shuffle(told)
    while told:
        size = chance.randint(1, 100)
        yield json.dumps(told[-size:]).encode()
        del told[-size:]


async def wrong_states(path: str, ends: dict[int, str]) -> int:
    async with DeliveryTracker(SQLiteStore(path)) as tracker:
        found = [await tracker.delivery(str(each)) for each in ends]
    return sum(each.status != end or bool(each.conflicting) for each, end in zip(found, ends.values(), strict=True))


def proof() -> None:
    """200,000 events, each twice, all shuffled, from many connections."""
    chance = random.Random(1)
    ends = {each: chance.choice(ENDS) for each in range(10**18, 10**18 + MESSAGES)}
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "deliveries.db")
        with receiver(path) as url:
            began = time.perf_counter()
            taken = asyncio.run(post_all(url, shuffled(chance, ends)))
            seconds = time.perf_counter() - began
        connection = sqlite3.connect(path)
        [stored] = connection.execute("SELECT count(*) FROM event").fetchone()
        connection.close()
        wrong = asyncio.run(wrong_states(path, ends))
    assert stored == 4 * MESSAGES
    assert wrong == 0
    show(
        f"{4 * MESSAGES:,} events of {MESSAGES:,} messages, each twice, shuffled, {CONNECTIONS} connections, SQLite",
        ["", "events/s", "median ms", "p99 ms", "stored", "wrong final states"],
        [["1 to 100 a request", *speed(8 * MESSAGES, seconds, taken), f"{stored:,}", f"{wrong}"]],
    )


def speed(events: int, seconds: float, taken: list[float]) -> list[str]:
    return [f"{events / seconds:,.0f}", f"{percentile(taken, 0.5):.1f}", f"{percentile(taken, 0.99):.1f}"]


def bodies(size: int) -> Iterator[bytes]:
    for start in range(0, min(EVENTS_OF_A_KIND, 5_000 * size), size):
        yield json.dumps([event(each, 0, "DELIVERED") for each in range(start, start + size)]).encode()


def table() -> None:
    """The proof, then speeds by events a request."""
    proof()
    rows = []
    for where in ("memory", "SQLite"):
        for size in (1, 10, 100, 1_000):
            with (
                TemporaryDirectory() as folder,
                receiver(f"{folder}/deliveries.db" if where == "SQLite" else "") as url,
            ):
                ready = list(bodies(size))
                began = time.perf_counter()
                taken = asyncio.run(post_all(url, iter(ready)))
                seconds = time.perf_counter() - began
            rows.append([f"{where}, {size:,} a request", *speed(size * len(ready), seconds, taken)])
    show(f"callbacks over HTTP, {CONNECTIONS} connections", ["", "events/s", "median ms", "p99 ms"], rows)


if __name__ == "__main__":
    table()
