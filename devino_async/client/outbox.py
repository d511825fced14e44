"""Outbox: many single sends become few full batches. Each caller gets exactly its own receipt.

While fewer batches than allowed are in flight, nothing waits. Otherwise messages gather in the buffer and leave
together when an exchange ends. How they gather is in flow/buffer.py. How a batch is sent is in dispatch.py.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from attrs import field, frozen

from ..checks import require_number
from ..errors import ClientClosed, ConfigurationError, DevinoError, OutboxFull
from ..flow.buffer import Buffer, Entry
from ..flow.chunking import Chunk
from ..flow.ownership import Owner
from ..flow.steps import Turns
from ..protocol import sending
from ..protocol.message import Message
from ..protocol.receipts import Receipt
from .dispatch import Dispatch
from .pieces import SendOptions

__all__ = ["Outbox", "OutboxOptions", "Waiting"]

_ENTRIES_A_SLICE = 64
_CLOSED = "the client is closed"
Waiting = Entry[Message, "asyncio.Future[Receipt]"]


@frozen(kw_only=True)
class OutboxOptions:
    """How the messages of single `send` calls gather into batches.

    - `linger`: how many seconds a message that could leave may wait for others. With 0 it never waits for them.
    - `capacity`, `capacity_bytes`: how many messages, and how many bytes of JSON, may wait in each lane.
    - `when_full`: with "wait", `send` waits for room, first come first served. With "refuse" it raises OutboxFull.
    """

    linger: float = 0.0
    capacity: int = 64_000
    capacity_bytes: int = 64_000_000
    when_full: Literal["wait", "refuse"] = field(default="wait")

    def __attrs_post_init__(self) -> None:
        require_number("OutboxOptions.linger", self.linger, maximum=3_600, unit="seconds")
        require_number("OutboxOptions.capacity", self.capacity, minimum=1, whole=True)
        require_number("OutboxOptions.capacity_bytes", self.capacity_bytes, minimum=1, whole=True)
        if self.when_full not in {"wait", "refuse"}:
            raise ConfigurationError('OutboxOptions.when_full must be "wait" or "refuse"')


class Outbox:
    """One lane: a buffer, and the pump that empties it with at most `max_in_flight` exchanges in flight."""

    def __init__(
        self,
        dispatch: Dispatch,
        owner: Owner,
        turns: Turns,
        options: OutboxOptions,
        *,
        max_in_flight: int,
        batch_bytes: int,
        urgent: bool,
        clock: Callable[[], float],
        later: Callable[[float, Callable[[], None]], asyncio.TimerHandle],
    ) -> None:
        self._dispatch = dispatch
        self._owner = owner
        self._turns = turns
        self._refuses = options.when_full == "refuse"
        self._buffer: Buffer[Message, asyncio.Future[Receipt]] = Buffer(
            max_count=options.capacity,
            max_bytes=options.capacity_bytes,
            max_batch_count=sending.MAX_MESSAGES,
            max_batch_bytes=batch_bytes,
            linger=options.linger,
        )
        self._max_in_flight = max_in_flight
        self._urgent = urgent
        self._clock = clock
        self._later = later
        self._in_flight = 0
        self._closing = False
        self._pumping: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle: list[asyncio.Future[None]] = []

    def put(self, message: Message, options: SendOptions, tag: Any = None) -> Waiting:
        """Queue a message. The `outcome` of the returned entry is a future of its receipt. Dispatch gets the `tag`.

        In a full outbox it waits for room, or OutboxFull is raised. A caller that is cancelled while it awaits the
        outcome must call `caller_cancelled`. Raises ClientClosed, and InvalidMessage for what is not a Message.
        """
        if self._closing:
            raise ClientClosed(_CLOSED)
        encoded = sending.encode_one(message).encode()
        entry: Waiting = Entry(
            message, encoded, len(encoded) + 1, options, asyncio.get_running_loop().create_future(), tag
        )
        # Error trackers record the locals of a traceback. The entry's repr shows nothing, but these bytes show it all.
        del encoded
        if self._refuses and not self._buffer.has_room(entry.size):
            # An entry at the door ends the linger of the others. A refused entry does not wait there, so their
            # linger is ended here.
            self._buffer.flush()
            self._pump_soon()
            raise OutboxFull("as many messages wait as OutboxOptions allows; send later, or let send wait")
        self._buffer.append(entry, self._clock())
        self._pump_soon()
        if self._urgent:
            self._turns.urgent_begins()
            entry.outcome.add_done_callback(self._urgent_ends)
        return entry

    def _urgent_ends(self, _: object) -> None:
        self._turns.urgent_ends()

    def caller_cancelled(self, entry: Waiting) -> None:
        """Take out a message that still waits. One that is already in a batch is still sent.

        In both cases the receipt goes to `on_unclaimed`, now or when the exchange ends.
        """
        outcome = entry.outcome
        if self._buffer.discard(entry):
            self._unclaimed_unsent([entry], "the caller was cancelled while the message waited")
            self._tell_idle()
        elif outcome.done() and not outcome.cancelled():
            # The outcome came between the cancel and this step, so the caller does not see it.
            if (error := outcome.exception()) is None:
                self._dispatch.unclaimed([outcome.result()])
            elif isinstance(error, ClientClosed):
                self._unclaimed_unsent([entry], _CLOSED)

    async def flush(self) -> None:
        """Let everything that waits leave, whatever the linger. Return when each message has its receipt."""
        self._buffer.flush()
        self._pump_soon()
        waiting = [entry.outcome for entry in self._buffer]
        if waiting:
            await asyncio.wait(waiting)

    def close(self) -> None:
        """Accept no more messages, and refuse those that wait for room. The others leave as exchanges end."""
        self._closing = True
        cancelled: list[Waiting] = []
        for entry in self._buffer.take_door():
            if entry.outcome.done():
                # The caller was cancelled and has not run since. It will no longer find the entry, so report it here.
                cancelled.append(entry)
            else:
                entry.outcome.set_exception(ClientClosed(_CLOSED))
        if cancelled:
            self._unclaimed_unsent(cancelled, _CLOSED)
        self._buffer.flush()
        if len(self._buffer):
            self._pump_soon()

    async def drain(self) -> None:
        """Return when nothing waits and nothing is in flight."""
        if len(self._buffer) or self._in_flight:
            idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            await idle

    def give_up(self, why: str) -> None:
        """Give a NotSent receipt to every message that still waits."""
        waiting = self._buffer.take_all()
        self._settle(waiting, _unsent(waiting, why))
        self._tell_idle()

    # The pump. It is synchronous, so no other code sees it half done.

    def _pump_soon(self) -> None:
        if self._pumping is None and self._in_flight < self._max_in_flight:
            self._pumping = asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        taken: list[Waiting] = []
        try:
            while self._in_flight < self._max_in_flight:
                taken = self._buffer.take(self._clock())
                if not taken:
                    break
                self._begin(taken)
                taken = []
            due = self._buffer.due()
            if due is not None and self._in_flight < self._max_in_flight:
                self._timer = self._later(max(0.0, due - self._clock()), self._pump)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers that wait must hear of it
            why = f"the outbox failed ({type(error).__name__})"
            self._settle(taken, _unsent(taken, why))
            self.give_up(why)

    def _begin(self, taken: list[Waiting]) -> None:
        exchange = self._exchange(taken)
        try:
            task = self._owner.start(exchange)
        except BaseException:
            exchange.close()
            raise
        self._in_flight += 1
        task.add_done_callback(partial(self._ended, taken))

    def _ended(self, taken: list[Waiting], task: "asyncio.Task[None]") -> None:
        if task.cancelled():
            self._settle(taken, _unsent(taken, "the exchange was cancelled before it began"))
        elif (error := task.exception()) is not None:
            # An unexpected error, so it is not known what was sent.
            untold = [entry for entry in taken if not entry.outcome.done() or entry.outcome.cancelled()]
            receipts = sending.receipts_after(sending.unforeseen(error), [entry.item for entry in untold])
            self._settle(untold, list(receipts))
        self._in_flight -= 1
        self._pump()
        self._tell_idle()

    def _tell_idle(self) -> None:
        if not len(self._buffer) and not self._in_flight:
            for idle in self._idle:
                if not idle.done():
                    idle.set_result(None)
            self._idle.clear()

    async def _exchange(self, taken: list[Waiting]) -> None:
        try:
            receipts = await self._dispatch.batch(
                _chunk_of(taken),
                taken[0].group,
                urgent=self._urgent,
                began=taken[0].arrived,
                tags=[entry.tag for entry in taken] if taken[0].group.keyed else (),
            )
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
                # Each receipt wakes a caller. Waking all of them in one turn of the loop would block it for long.
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

    def _unclaimed_unsent(self, entries: Sequence[Waiting], why: str) -> None:
        self._dispatch.unclaimed(_unsent(entries, why))


async def _pause() -> None:
    try:
        await asyncio.sleep(0)
    except asyncio.CancelledError:
        # Closing cancels exchanges. This one is over, and its receipts must reach their callers.
        return


def _chunk_of(entries: Sequence[Waiting]) -> Chunk[Message]:
    # No local holds the bytes, for the same reason as in `Outbox.put`.
    return Chunk(
        [entry.item for entry in entries],
        [
            b",".join([entry.encoded for entry in entries[at : at + _ENTRIES_A_SLICE]])
            for at in range(0, len(entries), _ENTRIES_A_SLICE)
        ],
    )


def _unsent(entries: Sequence[Waiting], why: str) -> list[Receipt]:
    return list(sending.receipts_after(sending.never_begun(why), [entry.item for entry in entries]))
