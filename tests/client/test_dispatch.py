"""Dispatch against a scripted transport: an unforeseen exception costs no receipt."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from dispatch_lab import dispatch_on

from devino_async import Accepted, ConfigurationError, Message, OutcomeUnknown, Receipt, Unconfirmed
from devino_async.client.dispatch import Dispatch
from devino_async.client.pieces import SendOptions
from devino_async.events import Events
from devino_async.exchange import Answer, Call
from devino_async.flow.chunking import Chunk
from devino_async.flow.steps import Turns

MESSAGES = [Message(sender="MyCompany", to=f"7900000000{number}", text="x") for number in range(6)]
CHUNK = Chunk(MESSAGES[:1], [b"{}"])


class Script:
    """Answers well, but for its second call."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.calls = 0

    async def exchange(self, call: Call) -> Answer:
        self.calls += 1
        if self.calls == 2:
            raise self.failure
        items = ",".join('{"code":"OK","messageId":"1"}' for _ in range(call.messages))
        return Answer(status=200, body=f'{{"result":[{items}]}}'.encode())


def dispatch(failure: Exception) -> Dispatch:
    return dispatch_on(Script(failure))


async def test_an_unforeseen_exception() -> None:
    """An unforeseen exception makes its own batch Unconfirmed, and the others keep their receipts."""
    stream = dispatch(ZeroDivisionError("79000000001")).stream(MESSAGES, 2, SendOptions())
    receipts = [receipt async for receipt in stream]
    assert [type(receipt) for receipt in receipts] == [Accepted] * 2 + [Unconfirmed] * 2 + [Accepted] * 2
    [first, *_] = [receipt for receipt in receipts if isinstance(receipt, Unconfirmed)]
    assert isinstance(first.error, OutcomeUnknown)
    assert "ZeroDivisionError" in str(first.error)
    assert "79000000001" not in str(first.error)
    assert first.error.__context__ is None


@pytest.mark.parametrize(("urgent", "turns_a_run"), [(False, 0), (True, 8)])
async def test_a_consumer_that_awaits_nothing(urgent: bool, turns_a_run: int) -> None:
    """Others get turns while the receipts of one batch are given, and several after each run if something is urgent."""
    turns = Turns()
    made = dispatch_on(Script(ValueError()), turns=turns)
    passed = 0

    async def other() -> None:
        nonlocal passed
        while True:
            passed += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(other())
    if urgent:
        turns.urgent_begins()
    seen = [passed async for _ in made.stream(MESSAGES * 200, 32_000, SendOptions())]
    counting.cancel()
    assert len(seen) == 1_200
    assert seen[-1] - seen[0] >= max(1, turns_a_run * (1_200 // 64))


async def test_misuse_is_raised() -> None:
    """Misuse, such as a client on another event loop, is raised rather than told by receipts."""
    stream = dispatch(ConfigurationError("another loop")).stream(MESSAGES, 2, SendOptions())
    with pytest.raises(ConfigurationError):
        [receipt async for receipt in stream]


@pytest.mark.parametrize("more", [0, 1, 5])
async def test_an_input_that_bears_being_cancelled(more: int) -> None:
    """What an input still gives after its reader was left is not sent, and has a receipt all the same."""
    unclaimed: list[Receipt] = []
    script = Script(ValueError())
    made = dispatch_on(script, on_unclaimed=unclaimed.extend)
    read = []

    async def source() -> AsyncIterator[Message]:
        for number, each in enumerate(MESSAGES[:1] * (1 + more)):
            if number == 1:
                with suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            read.append(each)
            yield each
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    stream = made.stream(source(), 1, SendOptions())
    given = [await anext(stream)]
    await stream.aclose()
    for _ in range(10):
        await asyncio.sleep(0)
    assert script.calls == 1
    assert len(read) == min(1 + more, 2)
    assert len(given + unclaimed) == len(read)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "devino-reader"]


@pytest.mark.parametrize("kind", ["iterator", "async"])
async def test_messages_are_packed(kind: str) -> None:
    """While a batch is in flight, a message that the program does not hold is no object for the garbage collector."""
    alive: list[int] = []

    class Watching(Script):
        async def exchange(self, call: Call) -> Answer:
            alive.append(sum(type(each) is Message for each in gc.get_objects()) - before)
            return await super().exchange(call)

    def source() -> Iterator[Message]:
        return (Message(sender="MyCompany", to=f"7900{number:07}", text="x") for number in range(1_000))

    async def source_async() -> AsyncIterator[Message]:
        for number in range(1_000):
            yield Message(sender="MyCompany", to=f"7900{number:07}", text="x")

    made = dispatch_on(Watching(ValueError()))
    before = sum(type(each) is Message for each in gc.get_objects())
    stream = made.stream(source() if kind == "iterator" else source_async(), 1_000, SendOptions())
    assert len([receipt async for receipt in stream]) == 1_000
    assert max(alive) <= 0


async def test_an_input_that_was_left_is_let_go() -> None:
    """After leaving, the input is closed without waiting for a garbage collection, and so are its files."""
    closed = []

    def source() -> Iterator[Message]:
        try:
            yield from MESSAGES * 1_000
        finally:
            closed.append(True)

    made = dispatch(ValueError())
    gc.collect()
    gc.disable()
    try:
        stream = made.stream(source(), 2, SendOptions())
        await anext(stream)
        await stream.aclose()
        del stream
        for _ in range(20):
            await asyncio.sleep(0)
        assert closed
    finally:
        gc.enable()


async def test_a_hook_that_cancels() -> None:
    """A CancelledError out of a hook is the hook's own affair and changes no verdict."""

    def cancelling(event: object) -> None:
        raise asyncio.CancelledError

    made = dispatch_on(Script(ValueError()), events=Events(cancelling))
    assert [type(receipt) for receipt in await made.batch(CHUNK, SendOptions(), urgent=False, began=0.0)] == [Accepted]


async def test_a_logger_that_raises() -> None:
    """A filter of the user's that raises costs no receipt."""

    def broken(record: logging.LogRecord) -> bool:
        raise ValueError

    logger = logging.getLogger("devino_async")
    logger.addFilter(broken)
    logger.setLevel(logging.DEBUG)
    try:
        [receipt] = await dispatch(ValueError()).batch(CHUNK, SendOptions(), urgent=False, began=0.0)
        assert isinstance(receipt, Accepted)
    finally:
        logger.removeFilter(broken)
        logger.setLevel(logging.NOTSET)


async def test_an_input_that_is_cancelled() -> None:
    """An input that raises CancelledError is heard, and what was read of it has its receipt."""

    def source() -> Iterator[Message]:
        yield from MESSAGES[:5]
        raise asyncio.CancelledError

    unclaimed: list[Receipt] = []
    script = Script(ValueError())
    script.calls = 2
    made = dispatch_on(script, on_unclaimed=unclaimed.extend)
    receipts: list[Receipt] = []
    with pytest.raises(asyncio.CancelledError):
        async for receipt in made.stream(source(), 2, SendOptions()):
            receipts.append(receipt)  # noqa: PERF401
    assert [receipt.message for receipt in [*receipts, *unclaimed]] == MESSAGES[:5]
