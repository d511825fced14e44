"""Property: whenever a caller is cancelled or the client is closed, every message that was read gets one receipt.

Moments are counted in turns of the event loop or in bytes that the server has read; nothing sleeps.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from attrs import define, evolve, field
from chance import GROUPS, chance, seeds
from fault_check import BOUND, KEY, PATIENT, TWICE, messages, settled, unsound
from fault_script import ALL_BUT_ONE, GOOD, End, Pause, Say, Script, Take, http, ok, part
from fault_server import FaultServer
from reachable import reachable

from devino_async import (
    Accepted,
    ClientClosed,
    DeadlineExceeded,
    DevinoClient,
    Limits,
    Message,
    OutcomeUnknown,
    Receipt,
)

pytestmark = pytest.mark.usefixtures("no_leaks")

# A stream gives up as soon as a single send here.
SOON = evolve(TWICE, stream_deadline=0.05)
SCRIPTS: tuple[Script, ...] = (
    GOOD,
    GOOD,
    GOOD,
    (End("stall"),),
    (Take("head"), End("stall")),
    (Take(0.5), End("rst")),
    (Take(ALL_BUT_ONE), End("stall")),
    (Take("request"), End("stall")),
    (Take("request"), End("rst")),
    (Take("request"), Say(part(0.5)), End("stall")),
    (Take("request"), Say(http(429, "{}", "Retry-After: 0"), refuses=True), End("eof")),
    (Take("request"), Say(http(500)), End("eof")),
)


@define
class Course:
    """One run: what was read from the input, and every receipt that reached anybody."""

    read: list[Message] = field(factory=list)
    receipts: list[Receipt] = field(factory=list)

    def source(self, batch: Sequence[Message]) -> Iterator[Message]:
        for each in batch:
            self.read.append(each)
            yield each

    async def slow_source(self, batch: Sequence[Message]) -> AsyncIterator[Message]:
        for each in batch:
            await asyncio.sleep(0)
            self.read.append(each)
            yield each

    async def send(self, client: DevinoClient, message: Message) -> None:
        self.read.append(message)
        try:
            self.receipts.append(await client.send(message))
        except ClientClosed:
            self.read.remove(message)

    async def stream(self, client: DevinoClient, dice: random.Random, batch: Sequence[Message]) -> None:
        source = self.source(batch) if dice.random() < 0.5 else self.slow_source(batch)
        leave_after = dice.choice((None, None, 1, 7, 10))
        with contextlib.suppress(ClientClosed, DeadlineExceeded, OutcomeUnknown):
            async with contextlib.aclosing(client.send_many(source, batch_size=10)) as stream:
                async for receipt in stream:
                    self.receipts.append(receipt)
                    if len(self.receipts) == leave_after:
                        return


async def moment(dice: random.Random, server: FaultServer, task: "asyncio.Task[None]") -> None:
    """Wait for a random moment: so many turns, or until the server has read so many bytes; not past the task's end."""
    turns = int(dice.choice((10, 60, 300)) * dice.random())
    read = dice.choice((0, 0, dice.randrange(6_000)))
    for _ in range(3_000):
        if task.done() or (turns <= 0 and sum(len(each.raw) for each in server.connections) >= read):
            return
        turns -= 1
        await asyncio.sleep(0)


async def cancelled(seed: int) -> list[str]:
    """One run with one cancellation; what is wrong with it."""
    dice = chance(seed)
    course = Course()
    scripts = tuple(dice.choice(SCRIPTS) for _ in range(5))
    one = dice.random() < 0.5
    batch = messages(1 if one else 40)
    closing = dice.random() < 0.4
    async with asyncio.timeout(BOUND), FaultServer(scripts) as server:
        client = reachable(DevinoClient(
            KEY, base_url=server.url, timeouts=PATIENT, retry=SOON, on_unclaimed=course.receipts.extend,
            limits=Limits(in_flight=dice.choice((1, 2, 4)), batch_bytes=dice.choice((900, 32_000_000))),
        ))  # fmt: skip
        work = course.send(client, batch[0]) if one else course.stream(client, dice, batch)
        task = asyncio.create_task(work)
        await moment(dice, server, task)
        if closing:
            await client.aclose(grace=0)
        else:
            task.cancel()
        await asyncio.wait({task})
        hopeless = any(script[-1] == End("stall") for script in scripts)
        await client.aclose(grace=0 if hopeless else 10)
        await settled(server)
        failed = None if task.cancelled() else task.exception()
        wrong = unsound(course.receipts, server.posts, course.read)
    if failed is not None:
        wrong.append(f"raised {failed!r}")
    if task.cancelled() and closing:
        wrong.append("closing cancelled the caller")
    return wrong


@pytest.mark.parametrize("group", range(GROUPS))
async def test_random_cancels(group: int) -> None:
    """A cancelled caller, a consumer that leaves and a closed client lose no receipt and make no verdict unsound."""
    wrong = {seed: found[:3] for seed in seeds(group) if (found := await cancelled(seed))}
    assert not wrong, f"{len(wrong)} seeds: {dict(list(wrong.items())[:5])}"


async def test_a_cancelled_caller_does_not_cancel_its_send() -> None:
    """The exchange of a caller that left goes on to its answer, and `on_unclaimed` gets the receipt."""
    unclaimed: list[Receipt] = []
    async with asyncio.timeout(BOUND), FaultServer(((Take("request"), Pause(50), Say(ok)),)) as server:
        client = reachable(
            DevinoClient(KEY, base_url=server.url, timeouts=PATIENT, retry=TWICE, on_unclaimed=unclaimed.extend)
        )
        task = asyncio.create_task(client.send(messages(1)[0]))
        while not any(request.complete for request in server.requests):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await client.aclose(grace=10)
    assert task.cancelled()
    assert [type(receipt) for receipt in unclaimed] == [Accepted]
