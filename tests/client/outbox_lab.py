"""An outbox with a scripted transport and a clock of the test. Not what must hold: that is in the tests beside."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from dispatch_lab import dispatch_on

from devino_async import CallFailed, Message, OutboxOptions, Priority, Receipt
from devino_async.client.outbox import Outbox
from devino_async.client.pieces import SendOptions
from devino_async.exchange import Answer, Call
from devino_async.flow.ownership import Owner
from devino_async.flow.steps import Turns

PLAIN = SendOptions.of(False, False)


def message(number: int, priority: Priority | None = None) -> Message:
    return Message(sender="MyCompany", to=f"7900{number:07}", text="x" * (number * 17 % 50 + 1), priority=priority)


def number_of(phone: str) -> int:
    return int(phone[4:])


class Service:
    """A transport whose exchanges end when the test says so, and as it says."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.in_flight: list[asyncio.Future[CallFailed | None]] = []

    async def exchange(self, call: Call) -> Answer:
        self.calls.append(call)
        ending: asyncio.Future[CallFailed | None] = asyncio.get_running_loop().create_future()
        self.in_flight.append(ending)
        try:
            failure = await ending
        finally:
            self.in_flight.remove(ending)
        if failure is not None:
            raise failure
        items = ",".join(f'{{"code":"OK","messageId":"{each}"}}' for each in self.numbers(call))
        return Answer(status=200, body=f'{{"result":[{items}]}}'.encode())

    def end(self, which: int = 0, failure: CallFailed | None = None) -> None:
        if self.in_flight:
            ending = self.in_flight[which % len(self.in_flight)]
            if not ending.done():
                ending.set_result(failure)

    @staticmethod
    def numbers(call: Call) -> list[int]:
        """The messages that it carries."""
        return [number_of(each["to"]) for each in json.loads(b"".join(call.body or ()))["messages"]]


async def sent(outbox: Outbox, message: Message, options: SendOptions = PLAIN) -> Receipt:
    """What a client does for each caller."""
    waiting = outbox.put(message, options)
    try:
        return await waiting.outcome
    except asyncio.CancelledError:
        outbox.caller_cancelled(waiting)
        raise


class Lab:
    """An outbox, its service, and a clock that only the test moves."""

    def __init__(self, *, max_in_flight: int = 2, batch_bytes: int = 10**6, **options: Any) -> None:
        self.service = Service()
        self.unclaimed: list[Receipt] = []
        self.owner = Owner()
        self.dispatch = dispatch_on(self.service, self.owner, on_unclaimed=self.unclaimed.extend)
        self.begun: set[int] = set()
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.outbox = Outbox(
            self.dispatch,
            self.owner,
            Turns(),
            OutboxOptions(**options),
            max_in_flight=max_in_flight,
            batch_bytes=batch_bytes,
            urgent=False,
            clock=lambda: self.now,
            later=self.later,
        )

    def later(self, delay: float, call: Callable[[], None]) -> Any:
        timer = (self.now + delay, call)
        self.timers.append(timer)
        return asyncio.get_running_loop().call_later(3_600, call)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        due = [call for at, call in self.timers if at <= self.now]
        self.timers = [timer for timer in self.timers if timer[0] > self.now]
        for call in due:
            call()

    def send(self, number: int, options: SendOptions = PLAIN) -> "asyncio.Task[Receipt]":
        async def caller() -> Receipt:
            self.begun.add(number)
            return await sent(self.outbox, message(number), options)

        return asyncio.create_task(caller())

    def at_the_door(self) -> set[int]:
        return {number_of(entry.item.to) for entry in self.outbox._buffer._door.values()}

    def inside(self) -> set[int]:
        return {number_of(entry.item.to) for entry in self.outbox._buffer} - self.at_the_door()

    async def turn(self, times: int = 8) -> None:
        for _ in range(times):
            await asyncio.sleep(0)
