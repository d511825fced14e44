"""The street of a client from its dispatch down, in virtual time and on a service of the test's."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import virtual_time

from devino_async import (
    CallFailed,
    Limits,
    Message,
    OutcomeUnknown,
    Receipt,
    RequestNotSent,
    RetryPolicy,
    SendingRefused,
    ServerFailed,
    TooManyRequests,
)
from devino_async.campaigns import Schedule
from devino_async.client.batches import Batches
from devino_async.client.dispatch import Dispatch
from devino_async.client.lookups import PROBE
from devino_async.client.outbox import OutboxOptions
from devino_async.client.outboxes import Outboxes
from devino_async.client.pieces import SendOptions
from devino_async.events import Events
from devino_async.exchange import Answer, Call
from devino_async.flow.ownership import Owner
from devino_async.flow.steps import Turns
from devino_async.transport.stack import stacked

OPTIONS = SendOptions.of(False, False)
LATENCY = 0.05
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
Fault = Callable[[Call], CallFailed]


def refused(call: Call) -> CallFailed:
    return RequestNotSent("refused", operation=call.operation)


def reset(call: Call) -> CallFailed:
    return OutcomeUnknown("reset", operation=call.operation)


def bad_gateway(call: Call) -> CallFailed:
    return ServerFailed("the service failed", operation=call.operation, status=502)


def too_many(call: Call, retry_after: float | None = None) -> CallFailed:
    error = TooManyRequests("slow down", operation=call.operation, status=429)
    error.retry_after, error.retriable = retry_after, True
    return error


def accepted(call: Call) -> Answer:
    item = b'{"code":"OK","messageId":"1"}'
    return Answer(status=200, body=b'{"result":[' + b",".join([item] * call.messages) + b"]}")


def messages(count: int) -> Iterator[Message]:
    for number in range(count):
        yield Message(sender="MyCompany", to=f"7900{number:07}", text="x")


class Scripted:
    """Fails as `fault` says for each call, given the moment of its answer. Look-ups are told apart by `probes_fail`."""

    def __init__(
        self, fault: Callable[[Call, float], CallFailed | None], *, probes_fail: bool = False, latency: float = LATENCY
    ) -> None:
        self.fault, self.probes_fail, self.latency = fault, probes_fail, latency
        self.sends: list[tuple[float, int]] = []
        self.probes = 0

    @property
    def sizes(self) -> list[int]:
        return [size for _, size in self.sends]

    async def exchange(self, call: Call) -> Answer:
        is_send = call.operation == "send"
        if is_send:
            self.sends.append((virtual_time.now(), call.messages))
        else:
            self.probes += 1
        await asyncio.sleep(self.latency)
        failure = self.fault(call, virtual_time.now()) if is_send or self.probes_fail else None
        if failure is not None:
            raise failure
        return accepted(call)


def between(begin: float, end: float, fault: Fault, *, probes_fail: bool = True) -> Scripted:
    """A service that fails in one way from one moment to another."""
    return Scripted(lambda call, now: fault(call) if begin <= now < end else None, probes_fail=probes_fail)


class Lab:
    """A client's parts below its front, joined as it joins them."""

    def __init__(self, service: Any, *, retry: RetryPolicy | None = None, **limits: Any) -> None:
        self.service = service
        self.told: list[Any] = []
        self.half_open = asyncio.Event()
        self.unclaimed: list[Receipt] = []
        events, turns, self.owner = Events(self._note), Turns(), Owner()
        retry, bounds = retry or RetryPolicy(), Limits(**limits)
        transport, self.breaker = stacked(
            service, PROBE, limits=bounds, retry=retry, events=events, clock=virtual_time.now
        )
        self.batches = Batches(
            transport, self.breaker, turns, retry=retry, limits=bounds, events=events, today=self.today
        )
        self.dispatch = Dispatch(
            self.batches,
            self.owner,
            turns,
            clock=virtual_time.now,
            limits=bounds,
            events=events,
            on_unclaimed=self.unclaimed.extend,
        )
        self.outboxes = Outboxes(
            self.dispatch, self.owner, turns, OutboxOptions(), limits=bounds, clock=virtual_time.now
        )

    def _note(self, event: Any) -> None:
        self.told.append(event)
        if getattr(event, "state", None) == "half open":
            self.half_open.set()

    def today(self) -> datetime:
        """The clock of the machine, which shows noon when the loop begins."""
        return NOON + timedelta(seconds=virtual_time.now())

    async def stream(
        self, count: int, batch_size: int, schedule: Schedule | None = None
    ) -> tuple[Counter[type], BaseException | None]:
        kinds: Counter[type] = Counter()
        try:
            async for receipt in self.dispatch.stream(messages(count), batch_size, OPTIONS, schedule=schedule):
                kinds[type(receipt)] += 1
        except (CallFailed, SendingRefused) as error:
            return kinds, error
        return kinds, None

    async def send(self, message: Message) -> Receipt:
        waiting = self.outboxes.of(message).put(message, OPTIONS)
        return await waiting.outcome

    async def sends(self, count: int) -> Counter[type]:
        return Counter(map(type, await asyncio.gather(*map(self.send, messages(count)))))
