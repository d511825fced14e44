"""Outbox: many single sends become few full batches. Each caller gets exactly its own receipt.

While there is a free slot nothing waits; while all are taken, messages gather in the buffer and leave together when one
is free. How they gather is flow/buffer.py's; how a batch is sent, dispatch.py's.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from attrs import field, frozen

from ..errors import ClientClosed, ConfigurationError, DevinoError, OutboxFull
from ..flow.buffer import Buffer, Entry, Full
from ..flow.chunking import Chunk
from ..flow.ownership import Owner
from ..flow.steps import Turns
from ..protocol import sending
from ..protocol.message import Message, Priority
from ..protocol.receipts import Receipt
from ..transport.limits import Limits
from .dispatch import Dispatch, SendOptions

__all__ = ["Outbox", "OutboxOptions", "Outboxes", "Waiting"]

_ENTRIES_A_SLICE = 64
_URGENT = {Priority.HIGH, Priority.REALTIME}
Waiting = Entry[Message, Receipt]


@frozen(kw_only=True)
class OutboxOptions:
    """How the messages of single `send` calls gather into batches.

    - `linger`: seconds that a message may wait for others although it could leave; 0 waits for nothing.
    - `capacity`, `capacity_bytes`: the most messages, and bytes of them as they travel, that wait at once in each lane.
    - `when_full`: "wait" lets `send` wait for room, first come first served; "refuse" raises OutboxFull.
    """

    linger: float = 0.0
    capacity: int = 64_000
    capacity_bytes: int = 64_000_000
    when_full: Literal["wait", "refuse"] = field(default="wait")

    def __attrs_post_init__(self) -> None:
        if type(self.linger) not in {int, float} or not 0 <= self.linger <= 3_600:
            raise ConfigurationError("OutboxOptions.linger must be a number of seconds from 0 to 3,600")
        for name in ("capacity", "capacity_bytes"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ConfigurationError(f"OutboxOptions.{name} must be a whole number of 1 or more")
        if self.when_full not in {"wait", "refuse"}:
            raise ConfigurationError('OutboxOptions.when_full must be "wait" or "refuse"')


class Outbox:
    """One lane: a buffer, and the pump that empties it into at most `slots` exchanges at once."""

    def __init__(
        self,
        dispatch: Dispatch,
        owner: Owner,
        turns: Turns,
        options: OutboxOptions,
        *,
        slots: int,
        batch_bytes: int,
        urgent: bool,
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], asyncio.TimerHandle],
    ) -> None:
        self._dispatch = dispatch
        self._owner = owner
        self._turns = turns
        self._waits = options.when_full == "wait"
        self._buffer: Buffer[Message, Receipt] = Buffer(
            most=options.capacity,
            most_bytes=options.capacity_bytes,
            batch_count=sending.MAX_MESSAGES,
            batch_bytes=batch_bytes,
            linger=options.linger,
        )
        self._slots = slots
        self._urgent = urgent
        self._clock = clock
        self._later = later
        self._under_way = 0
        self._closing = False
        self._pumping: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle: list[asyncio.Future[None]] = []
        # What becomes of those who wait for room.
        self._at_the_door: set[asyncio.Future[Receipt]] = set()

    def put(self, message: Message, options: SendOptions) -> Waiting | None:
        """Let a message wait with others; None if there is no room. Its entry's `outcome` will be its receipt."""
        self._check_open()
        encoded = sending.encode_one(message).encode()
        if not self._buffer.enter(len(encoded) + 1):
            return None
        return self._added(message, encoded, options, asyncio.get_running_loop().create_future())

    async def put_later(self, message: Message, options: SendOptions) -> Waiting:
        """The same as soon as there is room. Raises OutboxFull if nobody may wait for that."""
        encoded = sending.encode_one(message).encode()
        size = len(encoded) + 1
        outcome = asyncio.get_running_loop().create_future()
        self._at_the_door.add(outcome)
        try:
            await self._make_room(message, size)
            if self._closing:
                self._buffer.leave_room(size)
                self._check_open()
        except BaseException:
            outcome.cancel()
            raise
        finally:
            self._at_the_door.discard(outcome)
        return self._added(message, encoded, options, outcome)

    def _added(
        self, message: Message, encoded: bytes, options: SendOptions, outcome: "asyncio.Future[Receipt]"
    ) -> Waiting:
        entry: Waiting = Entry(message, encoded, len(encoded) + 1, options, outcome)
        self._buffer.add(entry, self._clock())
        self._pump_soon()
        if self._urgent:
            self._turns.urgent_begins()
            outcome.add_done_callback(self._urgent_ends)
        return entry

    def _urgent_ends(self, _: object) -> None:
        self._turns.urgent_ends()

    def left(self, entry: Waiting) -> None:
        """The caller was cancelled. A message that still waits is taken out; one that was handed over goes its way.

        Its receipt goes to `on_unclaimed`, now or when it is there.
        """
        if self._buffer.discard(entry):
            self._dispatch.unclaimed(_never_left("the caller left while the message waited", [entry]))
            self._tell_idle()
        elif entry.outcome.done() and not entry.outcome.cancelled() and entry.outcome.exception() is None:
            self._dispatch.unclaimed([entry.outcome.result()])

    async def _make_room(self, message: Message, size: int) -> None:
        # Whoever waits for room ends the linger of those who have it.
        self._pump_soon()
        try:
            await self._buffer.make_room(size, wait=self._waits)
        except Full:
            self._check_open()
            raise OutboxFull("as many messages wait as OutboxOptions allows; send later, or let send wait") from None
        except asyncio.CancelledError:
            error = sending.never_begun("the caller left while the message waited for room")
            self._dispatch.unclaimed(list(sending.receipts_after(error, [message])))
            raise

    def _check_open(self) -> None:
        if self._closing:
            raise ClientClosed("the client is closed")

    async def flush(self) -> None:
        """Let everything that waits leave, whatever the linger; returns when each of it has its receipt."""
        self._buffer.flush()
        self._pump_soon()
        waiting = [*(entry.outcome for entry in self._buffer), *self._at_the_door]
        if waiting:
            await asyncio.wait(waiting)

    def close(self) -> None:
        """Take no more; what waits leaves as soon as there is a slot."""
        self._closing = True
        self._buffer.turn_away()
        self._buffer.flush()
        if len(self._buffer):
            self._pump_soon()

    async def drain(self) -> None:
        """Return when nothing waits and nothing is under way."""
        if len(self._buffer) or self._under_way:
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    def give_up(self, why: str) -> None:
        """Give everything that still waits a NotSent."""
        left = self._buffer.take_all()
        self._settle(left, _never_left(why, left))
        self._tell_idle()

    # The pump. It decides at once and in one place, so that it can never be found half way.

    def _pump_soon(self) -> None:
        if self._pumping is None and self._under_way < self._slots:
            self._pumping = asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        taken: list[Waiting] = []
        try:
            while self._under_way < self._slots:
                taken = self._buffer.take(self._clock())
                if not taken:
                    break
                self._begin(taken)
                taken = []
            due = self._buffer.due()
            if due is not None and self._under_way < self._slots:
                self._timer = self._later(max(0.0, due - self._clock()), self._pump)
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, whatever it is
            why = f"the outbox failed ({type(error).__name__})"
            self._settle(taken, _never_left(why, taken))
            self.give_up(why)

    def _begin(self, taken: list[Waiting]) -> None:
        exchange = self._exchange(taken)
        try:
            task = self._owner.start(exchange)
        except BaseException:
            exchange.close()
            raise
        self._under_way += 1
        task.add_done_callback(partial(self._ended, taken))

    def _ended(self, taken: list[Waiting], task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            self._settle(taken, _never_left("the exchange was cancelled before it began", taken))
        elif (error := task.exception()) is not None:
            # Nobody foresaw it, so nobody knows how far it came.
            untold = [entry for entry in taken if not entry.outcome.done() or entry.outcome.cancelled()]
            receipts = sending.receipts_after(sending.unforeseen(error), [entry.item for entry in untold])
            self._settle(untold, list(receipts))
        self._under_way -= 1
        self._pump()
        self._tell_idle()

    def _tell_idle(self) -> None:
        if not len(self._buffer) and not self._under_way:
            for idle in self._idle:
                if not idle.done():
                    idle.set_result(None)
            self._idle.clear()

    async def _exchange(self, taken: list[Waiting]) -> None:
        messages = [entry.item for entry in taken]
        slices = [
            b",".join([entry.encoded for entry in taken[at : at + _ENTRIES_A_SLICE]])
            for at in range(0, len(taken), _ENTRIES_A_SLICE)
        ]
        try:
            receipts = await self._dispatch.batch(Chunk(messages, slices), taken[0].group, urgent=self._urgent)
        except DevinoError as misuse:
            for entry in taken:
                if not entry.outcome.done():
                    entry.outcome.set_exception(misuse)
            return
        at = 0
        for run in receipts.take():
            self._settle(taken[at : at + len(run)], run)
            at += len(run)
            if at < len(taken):
                # Each receipt wakes a caller; all of them in one turn of the loop would hold up everybody else.
                await _pause()

    def _settle(self, entries: Sequence[Waiting], receipts: Sequence[Receipt]) -> None:
        unclaimed: list[Receipt] = []
        for entry, receipt in zip(entries, receipts, strict=True):
            if entry.outcome.done():
                unclaimed.append(receipt)
            else:
                entry.outcome.set_result(receipt)
        if unclaimed:
            self._dispatch.unclaimed(unclaimed)


class Outboxes:
    """The outboxes of a client: one for the priorities HIGH and REALTIME, one for everything else."""

    def __init__(self, dispatch: Dispatch, owner: Owner, turns: Turns, options: OutboxOptions, limits: Limits) -> None:
        self._bulk, self._urgent = (
            Outbox(
                dispatch,
                owner,
                turns,
                options,
                slots=limits.in_flight,
                batch_bytes=limits.batch_bytes,
                urgent=urgent,
                clock=time.monotonic,
                later=lambda delay, pump: asyncio.get_running_loop().call_later(delay, pump),
            )
            for urgent in (False, True)
        )

    def of(self, message: Message) -> Outbox:
        """The one that takes this message."""
        # What is no Message is told so by either of them.
        return self._urgent if getattr(message, "priority", None) in _URGENT else self._bulk

    async def flush(self) -> None:
        """Let everything that waits now leave; returns when each of it has its receipt."""
        await asyncio.gather(self._bulk.flush(), self._urgent.flush())

    async def aclose(self, grace: float) -> None:
        """Take no more, and let what waits leave within `grace` seconds; what does not is told that it was not sent."""
        for outbox in (self._bulk, self._urgent):
            outbox.close()
        draining = [asyncio.create_task(outbox.drain()) for outbox in (self._bulk, self._urgent)]
        try:
            await asyncio.wait(draining, timeout=grace)
        finally:
            for task in draining:
                task.cancel()
            for outbox in (self._bulk, self._urgent):
                outbox.give_up("the client was closed before the message was sent")


async def _pause() -> None:
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        # Closing cuts exchanges short; this one is over, and its receipts must reach their callers.
        return


def _never_left(why: str, entries: Sequence[Waiting]) -> list[Receipt]:
    return list(sending.receipts_after(sending.never_begun(why), [entry.item for entry in entries]))
