"""The campaign of `devino demo`, and the process that begins it, which is killed half way.

`python -m devino_async.cli.demo_campaign URL JOURNAL COUNT` sends the first half, prints a line, and waits.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from itertools import islice

import devino_async
from devino_async.campaigns import SQLiteJournal

__all__ = ["KEY", "NAME", "batch_size_for", "campaign", "first_half"]

KEY = "demo-key"
NAME = "demo"
_LATIN = "Your order {} is ready. Show this message at the counter."
_RUSSIAN = "Ваш заказ {} готов. Покажите это сообщение на кассе."
_BATCHES_A_HALF = 4
_MAX_BATCH = 8_000


def campaign(count: int) -> "Iterator[devino_async.Message]":
    """Yield messages, Russian and Latin in turn. Every 500th has a sender that the sandbox rejects.

    The recipients' numbers cover all endings, including those that the sandbox does not deliver to.
    """
    for number in range(count):
        sender = "Unknown" if number % 500 == 499 else "MyCompany"
        text = (_LATIN, _RUSSIAN)[number % 2].format(number)
        yield devino_async.Message(sender=sender, to=f"7900{number:07}", text=text)


def batch_size_for(count: int) -> int:
    """Return the batch size for a campaign of this many messages."""
    return max(1, min(_MAX_BATCH, count // 2 // _BATCHES_A_HALF))


def first_half(count: int) -> int:
    """Return about half of the count, in full batches."""
    return count // 2 // batch_size_for(count) * batch_size_for(count)


async def _first_half_of(count: int) -> "AsyncIterator[devino_async.Message]":
    """Yield the first half of the campaign, and then wait forever."""
    for message in islice(campaign(count), first_half(count)):
        yield message
    await asyncio.Event().wait()


async def _begin(url: str, place: str, count: int) -> None:
    answered = 0
    async with SQLiteJournal(place) as journal, devino_async.DevinoClient(KEY, base_url=url, journal=journal) as devino:
        async for _ in devino.send_many(_first_half_of(count), campaign=NAME, batch_size=batch_size_for(count)):
            answered += 1
            if answered == first_half(count):
                sys.stdout.write(f"{answered}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_begin(sys.argv[1], sys.argv[2], int(sys.argv[3])))
