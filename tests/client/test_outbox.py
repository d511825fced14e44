"""Outbox against a scripted transport: how messages gather, wait for room, leave, and what their callers get."""

import asyncio
import traceback
from pathlib import Path
from typing import Any

import pytest
from dispatch_lab import dispatch_on
from outbox_lab import Lab, Service, message, sent

import devino_async
from devino_async import (
    Accepted,
    CallFailed,
    ClientClosed,
    ConfigurationError,
    DevinoClient,
    DevinoError,
    Limits,
    Message,
    NotSent,
    OutboxFull,
    OutboxOptions,
    OutcomeUnknown,
    Priority,
    RequestNotSent,
    Unconfirmed,
)
from devino_async.client.outboxes import Outboxes
from devino_async.client.pieces import SendOptions
from devino_async.flow.ownership import Owner
from devino_async.flow.steps import Turns

PACKAGE = Path(devino_async.__file__).parent


async def test_a_lone_send_leaves_at_once() -> None:
    """With nothing in flight a message waits for nothing, nor while more may be in flight."""
    lab = Lab(max_in_flight=2)
    first = lab.send(1)
    await lab.turn()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[1]]
    second = lab.send(2)
    await lab.turn()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[1], [2]]
    lab.service.end(), lab.service.end(1)
    assert await first == Accepted(message(1), "1")
    assert await second == Accepted(message(2), "2")


async def test_messages_gather_while_no_more_may_be_in_flight() -> None:
    """Messages gather until an exchange ends. All of them leave together, and each caller has its own receipt."""
    lab = Lab(max_in_flight=1)
    tasks = [lab.send(0)]
    await lab.turn()
    tasks += [lab.send(number) for number in range(1, 101)]
    await lab.turn()
    assert len(lab.service.calls) == 1
    lab.service.end()
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[1]) == list(range(1, 101))
    lab.service.end()
    assert [receipt.message.to for receipt in await asyncio.gather(*tasks)] == [message(n).to for n in range(101)]
    assert len(lab.service.calls) == 2


async def test_options_never_mix() -> None:
    """Messages that ask for different things never share a POST."""
    lab = Lab(max_in_flight=9)
    asked = [SendOptions.of(number % 2 == 0, number % 3 == 0) for number in range(12)]
    tasks = [lab.send(number, options) for number, options in enumerate(asked)]
    await lab.turn()
    assert len(lab.service.calls) == 4
    for call in lab.service.calls:
        [query] = {
            "&".join(
                f"{name}=true"
                for name, wanted in (("includeSegmentId", number % 2 == 0), ("shortenUrl", number % 3 == 0))
                if wanted
            )
            for number in lab.service.numbers(call)
        }
        assert call.query == query
    for _ in range(4):
        lab.service.end()
        await lab.turn()
    assert all(type(receipt) is Accepted for receipt in await asyncio.gather(*tasks))


async def test_linger_and_flush() -> None:
    """With a linger a message waits that long for others. Flush sends what waits, and returns when that is over."""
    lab = Lab(linger=0.5)
    first = lab.send(1)
    await lab.turn()
    lab.wait(0.4)
    second = lab.send(2)
    await lab.turn()
    assert lab.service.calls == []
    lab.wait(0.1)
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[0]) == [1, 2]
    third = lab.send(3)
    await lab.turn()
    flushing = asyncio.create_task(lab.outbox.flush())
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[1]) == [3]
    assert not flushing.done()
    lab.service.end(1)
    await flushing
    assert third.done()
    lab.service.end()
    await asyncio.gather(first, second)
    await lab.outbox.flush()


async def test_cancelled_while_it_waits() -> None:
    """A caller that is cancelled while its message waits takes it out: it is never sent, and is NotSent."""
    lab = Lab(max_in_flight=1)
    first = lab.send(0)
    await lab.turn()
    waiting = [lab.send(number) for number in (1, 2, 3)]
    await lab.turn()
    waiting[1].cancel()
    await lab.turn()
    assert waiting[1].cancelled()
    assert [(type(each), each.message) for each in lab.unclaimed] == [(NotSent, message(2))]
    lab.service.end()
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[1]) == [1, 3]
    lab.service.end()
    await asyncio.gather(first, waiting[0], waiting[2])


async def test_cancelled_once_it_is_handed_over() -> None:
    """A caller that is cancelled once its message was handed over returns at once. Its receipt is unclaimed."""
    lab = Lab()
    tasks = [lab.send(1), lab.send(2)]
    await lab.turn()
    tasks[0].cancel()
    await lab.turn()
    assert tasks[0].cancelled()
    assert lab.unclaimed == []
    lab.service.end()
    assert await tasks[1] == Accepted(message(2), "2")
    assert lab.unclaimed == [Accepted(message(1), "1")]


async def test_cancelled_in_the_turn_of_its_receipt() -> None:
    """The receipt of a caller cancelled between its arrival and its reading is reported as unclaimed."""
    lab = Lab()
    task = lab.send(1)
    await lab.turn()
    lab.outbox._pump()
    lab.service.end()
    while not lab.unclaimed and not task.done():
        await asyncio.sleep(0)
        if not lab.service.in_flight:
            task.cancel()
    received = [] if task.cancelled() else [task.result()]
    assert [*received, *lab.unclaimed] == [Accepted(message(1), "1")]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [(RequestNotSent("no", operation="send"), NotSent), (OutcomeUnknown("lost", operation="send"), Unconfirmed)],
)
async def test_a_failed_exchange(failure: CallFailed, kind: type) -> None:
    """After a failure every caller of the batch has a receipt that says so. The next batch goes out all the same."""
    lab = Lab(max_in_flight=1)
    tasks = [lab.send(number) for number in range(5)]
    await lab.turn()
    after = lab.send(9)
    await lab.turn()
    lab.service.end(failure=failure)
    receipts = await asyncio.gather(*tasks)
    assert {type(receipt) for receipt in receipts} == {kind}
    await lab.turn()
    lab.service.end()
    assert type(await after) is Accepted


async def test_a_full_buffer_lets_wait() -> None:
    """A full buffer makes callers wait, first come first served. One cancelled there is NotSent and keeps no room."""
    lab = Lab(max_in_flight=1, capacity=3)
    tasks = [lab.send(number) for number in range(9)]
    await lab.turn()
    assert lab.service.numbers(lab.service.calls[0]) == [0, 1, 2]
    assert lab.inside() == {3, 4, 5}
    assert lab.at_the_door() == {6, 7, 8}
    tasks[7].cancel()
    await lab.turn()
    assert [type(each) for each in lab.unclaimed] == [NotSent]
    while not all(task.done() for task in tasks):
        lab.service.end()
        await lab.turn()
    assert [number for call in lab.service.calls for number in lab.service.numbers(call)] == [0, 1, 2, 3, 4, 5, 6, 8]


async def test_a_full_buffer_refuses() -> None:
    """With when_full="refuse" a full buffer raises OutboxFull at once, and nothing is sent for that call."""
    lab = Lab(max_in_flight=1, capacity=1, when_full="refuse")
    first = lab.send(0)
    await lab.turn()
    waiting, refused = lab.send(1), lab.send(2)
    await lab.turn()
    with pytest.raises(OutboxFull, match="OutboxOptions"):
        await refused
    lab.service.end()
    await lab.turn()
    lab.service.end()
    await asyncio.gather(first, waiting)
    assert len(lab.service.calls) == 2


async def test_none_overtakes_at_the_door() -> None:
    """When room is made for a message that waits, one that comes in the same turn goes behind it."""
    lab = Lab(max_in_flight=1, capacity=3)
    tasks = [lab.send(number) for number in range(4)]
    await lab.turn(1)
    tasks.append(lab.send(4))
    await lab.turn()
    while not all(task.done() for task in tasks):
        lab.service.end()
        await lab.turn()
    assert [number for call in lab.service.calls for number in lab.service.numbers(call)] == [0, 1, 2, 3, 4]


async def test_nothing_lingers_while_others_wait_for_room() -> None:
    """A full outbox does not linger: what is in it leaves, so that what waits comes in."""
    lab = Lab(max_in_flight=4, capacity=3, linger=100.0)
    tasks = [lab.send(number) for number in range(8)]
    await lab.turn()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[0, 1, 2], [3, 4, 5]]
    lab.wait(100.0)
    await lab.turn()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    for number in range(3):
        lab.service.end(number)
    await asyncio.gather(*tasks)


async def test_flush_covers_what_waits_for_room() -> None:
    """What waits for room at a flush does not linger either, and flush returns when it has its receipts too."""
    lab = Lab(max_in_flight=1, capacity=3, linger=100.0)
    tasks = [lab.send(number) for number in range(8)]
    await lab.turn(1)
    flushing = asyncio.create_task(lab.outbox.flush())
    for number in range(3):
        await lab.turn()
        assert not flushing.done()
        lab.service.end(number)
    await lab.turn()
    assert flushing.done()
    assert all(task.done() for task in tasks)


async def test_what_breaks_a_rule_never_enters() -> None:
    """What is not a Message costs its caller alone an error."""
    lab = Lab()
    with pytest.raises(ValueError, match="must be Message"):
        await sent(lab.outbox, "Hello")  # type: ignore[arg-type]
    assert len(lab.outbox._buffer) == 0


async def test_refusing_ends_the_linger() -> None:
    """Where a full buffer refuses, what fills it leaves although its linger is not over, and there is room."""
    lab = Lab(capacity=2, when_full="refuse", linger=3_600.0)
    tasks = [lab.send(number) for number in range(3)]
    await lab.turn()
    with pytest.raises(OutboxFull):
        await tasks.pop()
    assert [lab.service.numbers(call) for call in lab.service.calls] == [[0, 1]]
    tasks.append(lab.send(3))
    await lab.turn()
    assert len(lab.service.calls) == 1
    lab.outbox.close()
    await lab.turn()
    lab.service.end(), lab.service.end(1)
    assert {type(receipt) for receipt in await asyncio.gather(*tasks)} == {Accepted}


async def test_the_pump_fails() -> None:
    """Should the pump itself fail, all that waits is NotSent, at the door too."""
    lab = Lab()

    def broken(now: float) -> Any:
        raise ZeroDivisionError

    lab.outbox._buffer.take = broken  # type: ignore[method-assign]
    receipts = await asyncio.gather(lab.send(1), lab.send(2))
    assert [type(receipt) for receipt in receipts] == [NotSent, NotSent]
    assert all("ZeroDivisionError" in str(receipt.error) for receipt in receipts if isinstance(receipt, NotSent))


async def test_the_pump_fails_with_a_batch_in_hand() -> None:
    """Should no exchange begin for a batch that left the buffer, it is NotSent too, and does not count as in flight."""
    lab = Lab(max_in_flight=1)
    start = lab.owner.start

    def broken(work: Any) -> Any:
        lab.owner.start = start  # type: ignore[method-assign]
        raise ZeroDivisionError

    lab.owner.start = broken  # type: ignore[method-assign]
    assert [type(receipt) for receipt in await asyncio.gather(lab.send(1), lab.send(2))] == [NotSent, NotSent]
    later = lab.send(3)
    await lab.turn()
    lab.service.end()
    assert type(await later) is Accepted
    assert len(lab.service.calls) == 1


async def test_the_pump_fails_with_a_full_door() -> None:
    """Should the pump fail while messages wait at the door, they are NotSent too, and later ones are sent."""
    lab = Lab(max_in_flight=1, capacity=2)
    start = lab.owner.start

    def broken(work: Any) -> Any:
        lab.owner.start = start  # type: ignore[method-assign]
        raise ZeroDivisionError

    lab.owner.start = broken  # type: ignore[method-assign]
    receipts = await asyncio.gather(*(lab.send(number) for number in range(7)))
    assert {type(receipt) for receipt in receipts} == {NotSent}
    later = lab.send(9)
    await lab.turn()
    lab.service.end()
    assert type(await later) is Accepted


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_an_exchange_that_never_ran_or_broke(cancelled_first: bool) -> None:
    """An exchange that is cancelled before it ran gives NotSent, one that breaks unforeseen gives Unconfirmed."""
    lab = Lab()
    tasks = [lab.send(1), lab.send(2)]
    if cancelled_first:
        start = lab.owner.start

        def cancelled(work: Any) -> Any:
            task = start(work)
            task.cancel()
            return task

        lab.owner.start = cancelled  # type: ignore[method-assign]
    else:

        async def broken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

        lab.dispatch.batch = broken  # type: ignore[method-assign]
    receipts = await asyncio.gather(*tasks)
    assert {type(receipt) for receipt in receipts} == {NotSent if cancelled_first else Unconfirmed}
    assert lab.service.calls == []


async def test_misuse_is_raised() -> None:
    """A mistake of the program, such as options that cannot work, is raised and is not a receipt."""
    lab = Lab()
    task = lab.send(1)
    await lab.turn()
    lab.service.end(failure=ConfigurationError("wrong"))  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        await task


async def test_closing() -> None:
    """Closing takes no more, lets what has room leave, and turns away what waits for room at once."""
    lab = Lab(max_in_flight=1, capacity=2)
    tasks = [lab.send(number) for number in range(5)]
    await lab.turn()
    lab.outbox.close()
    with pytest.raises(ClientClosed):
        await tasks[4]
    with pytest.raises(ClientClosed):
        await lab.send(9)
    draining = asyncio.create_task(lab.outbox.drain())
    await lab.turn()
    assert not draining.done()
    lab.service.end()
    await lab.turn()
    lab.service.end()
    await draining
    assert [type(receipt) for receipt in await asyncio.gather(*tasks[:4])] == [Accepted] * 4


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_cancelled_in_the_turn_of_closing(cancelled_first: bool) -> None:
    """A caller at the door that is cancelled in the same turn as the closing is reported once, whichever was first."""
    lab = Lab(max_in_flight=1, capacity=1)
    tasks = [lab.send(number) for number in range(4)]
    await lab.turn()
    assert lab.at_the_door() == {2, 3}
    if cancelled_first:
        tasks[3].cancel()
    lab.outbox.close()
    tasks[3].cancel()
    await lab.turn()
    assert tasks[3].cancelled()
    assert [(type(each), each.message) for each in lab.unclaimed] == [(NotSent, message(3))]
    with pytest.raises(ClientClosed):
        await tasks[2]
    lab.service.end()
    await lab.turn()
    lab.service.end()
    assert {type(receipt) for receipt in await asyncio.gather(*tasks[:2])} == {Accepted}


def shown_by(error: BaseException) -> list[str]:
    """What an error tracker records of our frames: their locals."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if Path(frame.f_code.co_filename).is_relative_to(PACKAGE)]
    assert ours
    return [f"{name} = {value!r}" for frame in ours for name, value in frame.f_locals.items()]


async def test_no_traceback_shows_a_message() -> None:
    """No local of our frames shows text or number, whatever a `send` raises."""
    lab, secret = Lab(), Message(sender="MyCompany", to="79001234567", text="the code is 4711")
    outbox = OutboxOptions(capacity=1, when_full="refuse")
    devino = DevinoClient("key", base_url="http://127.0.0.1:9", limits=Limits(in_flight=1), outbox=outbox)
    devino._dispatch._batches._transport = lab.service

    async def raised() -> BaseException:
        try:
            pytest.fail(f"{await devino.send(secret)} came back")
        except (DevinoError, asyncio.CancelledError) as error:
            return error

    tasks = [asyncio.create_task(raised())]
    await lab.turn()
    tasks += [asyncio.create_task(raised()) for _ in range(2)]
    await lab.turn()
    tasks[1].cancel()
    lab.service.end(failure=ConfigurationError("wrong"))  # type: ignore[arg-type]
    errors = await asyncio.gather(*tasks)
    await devino.aclose()
    errors.append(await raised())
    assert [type(each) for each in errors] == [ConfigurationError, asyncio.CancelledError, OutboxFull, ClientClosed]
    shown = [line for error in errors for line in shown_by(error)]
    assert any(line.startswith("taken = [Entry(") for line in shown)
    assert not [line for line in shown if "4711" in line or "79001234567" in line]


async def test_giving_up() -> None:
    """What still waits when the grace is over was never sent, and is NotSent."""
    lab = Lab(max_in_flight=1)
    first = lab.send(0)
    await lab.turn()
    waiting = [lab.send(1), lab.send(2)]
    await lab.turn()
    lab.outbox.close()
    lab.outbox.give_up("the client was closed")
    assert [type(receipt) for receipt in await asyncio.gather(*waiting)] == [NotSent, NotSent]
    lab.service.end()
    assert type(await first) is Accepted
    assert len(lab.service.calls) == 1


async def test_receipts_come_in_turns() -> None:
    """Thousands of receipts do not wake all their callers in one turn of the event loop."""
    lab = Lab()
    tasks = [lab.send(number) for number in range(5_000)]
    await lab.turn()
    lab.service.end()
    most = before = 0
    while not all(task.done() for task in tasks):
        await asyncio.sleep(0)
        done = sum(task.done() for task in tasks)
        most, before = max(most, done - before), done
    assert most <= 1_024


def test_priorities_have_lanes() -> None:
    """HIGH and REALTIME go by an outbox of their own, everything else by the other."""
    service = Service()
    dispatch = dispatch_on(service)
    outboxes = Outboxes(dispatch, Owner(), Turns(), OutboxOptions(), limits=Limits(), clock=lambda: 0.0)
    by = {priority: outboxes.of(message(1, priority)) for priority in (None, *Priority)}
    assert by[Priority.HIGH] is by[Priority.REALTIME]
    assert by[None] is by[Priority.LOW] is by[Priority.MEDIUM]
    assert by[None] is not by[Priority.HIGH]


@pytest.mark.parametrize(
    "wrong",
    [{"linger": -1}, {"linger": float("nan")}, {"linger": True}, {"capacity": 0}, {"capacity_bytes": 1.5},
     {"when_full": "drop"}],
)  # fmt: skip
def test_options_that_cannot_work(wrong: dict[str, Any]) -> None:
    """Options that cannot work are refused when they are made, by name."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        OutboxOptions(**wrong)
