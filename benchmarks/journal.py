"""What a journal costs: the same campaign with and without one, single sends with and without keys, and a replay.

Stalls are measured as in campaign.py. A replay of a finished campaign is compared with reading its CSV twice, because
`devino send` reads a file once to compare it and once to send it. The journal is in the temporary folder.
"""

import asyncio
import csv
import statistics
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign import own_messages, watched
from canned_server import canned_server
from measuring import ratio, show

from devino_async import Accepted, DevinoClient, Message
from devino_async.campaigns import SQLiteJournal, read_messages

COUNT = 1_000_000
BATCHES = (32_000, 8_000, 500)
ROUNDS = 3
KEYED = 20_000
CALLERS = 500

Work = Callable[[], Awaitable[int]]


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


async def campaign(url: str, messages: Iterable[Message], batch_size: int, path: Path | None) -> int:
    """Send a campaign, with a journal if there is a path for it. Return how many messages were accepted."""
    accepted = 0
    if path is None:
        async with DevinoClient("key", base_url=url) as devino:
            async for receipt in devino.send_many(messages, batch_size=batch_size):
                accepted += type(receipt) is Accepted
        return accepted
    async with SQLiteJournal(path) as journal, DevinoClient("key", base_url=url, journal=journal) as devino:
        async for receipt in devino.send_many(messages, batch_size=batch_size, campaign="spring"):
            accepted += type(receipt) is Accepted
    return accepted


def timed(work: Awaitable[int], count: int) -> tuple[float, list[float]]:
    """Run the work on an event loop of its own. Return the seconds that it took, and the stalls in milliseconds."""
    stalls: list[float] = []
    began = time.perf_counter()
    assert asyncio.run(watched(work, stalls)) == count
    return time.perf_counter() - began, stalls


def campaign_rows(url: str) -> Iterator[list[str]]:
    for batch_size in BATCHES:
        taken: dict[bool, list[float]] = {False: [], True: []}
        stalls: dict[bool, list[float]] = {False: [], True: []}
        sizes = []
        for turn in range(ROUNDS):
            for with_journal in (False, True) if turn % 2 == 0 else (True, False):
                with folder() as place:
                    path = place / "campaign.journal" if with_journal else None
                    seconds, seen = timed(campaign(url, own_messages(COUNT), batch_size, path), COUNT)
                    taken[with_journal].append(seconds)
                    stalls[with_journal].append(max(seen))
                    if path is not None:
                        sizes.append(path.stat().st_size / 1e6)
        yield [
            f"batches of {batch_size:,}",
            f"{COUNT / min(taken[False]):,.0f}",
            f"{COUNT / min(taken[True]):,.0f}",
            f"{ratio(taken[False], taken[True]):.2f}",
            f"{statistics.median(stalls[False]):.1f}",
            f"{statistics.median(stalls[True]):.1f}",
            f"{statistics.median(sizes):.0f}",
        ]


def replay_rows(url: str) -> Iterator[list[str]]:
    with folder() as place:
        path, file = place / "campaign.journal", place / "campaign.csv"
        with file.open("w", encoding="utf-8", newline="") as rows:
            writer = csv.writer(rows)
            writer.writerow(["sender", "to", "text"])
            writer.writerows([each.sender, each.to, each.text] for each in own_messages(COUNT))
        timed(campaign(url, own_messages(COUNT), 8_000, path), COUNT)
        replays, readings = [], []
        for _ in range(ROUNDS):
            replays.append(timed(campaign(url, own_messages(COUNT), 8_000, path), COUNT)[0])
            began = time.perf_counter()
            for _ in range(2):
                assert sum(row.message is not None for row in read_messages(file)) == COUNT
            readings.append(time.perf_counter() - began)
        yield [
            "replay of a finished campaign",
            f"{min(replays):.1f}",
            f"{min(readings):.1f}",
            f"{ratio(readings, replays):.1f}",
        ]


async def singles(url: str, path: Path | None) -> int:
    """Send single messages from many callers, with keys if there is a path. Return how many were accepted."""
    accepted = 0

    async def caller(devino: DevinoClient, numbers: Iterable[int]) -> None:
        nonlocal accepted
        for number in numbers:
            message = Message(sender="MyCompany", to=f"7900{number:07}", text="Ваш код 1234")
            receipt = await devino.send(message, key=None if path is None else f"order-{number}")
            accepted += type(receipt) is Accepted

    async def all_callers(devino: DevinoClient) -> None:
        async with asyncio.TaskGroup() as group:
            for first in range(CALLERS):
                group.create_task(caller(devino, range(first, KEYED, CALLERS)))

    if path is None:
        async with DevinoClient("key", base_url=url) as devino:
            await all_callers(devino)
    else:
        async with SQLiteJournal(path) as journal, DevinoClient("key", base_url=url, journal=journal) as devino:
            await all_callers(devino)
    return accepted


def keyed_rows(url: str) -> Iterator[list[str]]:
    without, keyed = [], []
    for _ in range(ROUNDS):
        without.append(timed(singles(url, None), KEYED)[0])
        with folder() as place:
            keyed.append(timed(singles(url, place / "keys.journal"), KEYED)[0])
    yield [
        f"{KEYED:,} sends by {CALLERS} callers",
        f"{KEYED / min(without):,.0f}",
        f"{KEYED / min(keyed):,.0f}",
        f"{ratio(without, keyed):.2f}",
    ]


def table() -> None:
    """Three tables: campaigns, a replay, keyed sends."""
    warnings.simplefilter("ignore", ResourceWarning)
    with canned_server() as url:
        show(
            f"campaign of {COUNT:,} messages, 70 Cyrillic characters each, all texts different; best of {ROUNDS}",
            ["", "messages/s", "with a journal", "ratio", "stall, ms", "with a journal", "file, MB"],
            list(campaign_rows(url)),
        )
        show(
            f"{COUNT:,} messages, seconds; best of {ROUNDS}",
            ["", "replay", "reading the CSV twice", "replay is faster by"],
            list(replay_rows(url)),
        )
        show(
            f"single sends, messages a second; best of {ROUNDS}",
            ["", "without keys", "with keys", "ratio"],
            list(keyed_rows(url)),
        )


if __name__ == "__main__":
    table()
