"""Outboxes: the two outboxes of a client, and the choice between them. A single outbox is in outbox.py."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..errors import InvalidMessage
from ..flow.ownership import Owner
from ..flow.steps import Turns
from ..protocol import sending
from ..protocol.message import Message, Priority
from ..protocol.receipts import Receipt
from ..transport.limits import Limits
from .batches import utc_now
from .dispatch import Dispatch
from .outbox import Outbox, OutboxOptions
from .pieces import SendOptions

__all__ = ["Outboxes"]

_URGENT = {Priority.HIGH, Priority.REALTIME}


class Outboxes:
    """The outboxes of a client: one for the priorities HIGH and REALTIME, one for everything else."""

    def __init__(
        self,
        dispatch: Dispatch,
        owner: Owner,
        turns: Turns,
        options: OutboxOptions,
        *,
        limits: Limits,
        clock: Callable[[], float],
        today: Callable[[], datetime] = utc_now,
    ) -> None:
        self._today = today
        self._bulk, self._urgent = (
            Outbox(
                dispatch,
                owner,
                turns,
                options,
                max_in_flight=limits.in_flight,
                batch_bytes=limits.batch_bytes,
                urgent=urgent,
                clock=clock,
                later=lambda delay, pump: asyncio.get_running_loop().call_later(delay, pump),
            )
            for urgent in (False, True)
        )

    def of(self, message: Message) -> Outbox:
        """Return the outbox for this message. Raises InvalidMessage if its scheduled time has passed."""
        if getattr(message, "scheduled_time", None) is not None:
            problem = sending.missed_schedule(message, self._today())
            if problem is not None:
                raise InvalidMessage([problem])
        # What is not a Message is refused by either of them.
        return self._urgent if getattr(message, "priority", None) in _URGENT else self._bulk

    async def send(self, options: SendOptions, message: Message, tag: Any) -> Receipt:
        """Queue a message with a tag and return its receipt. If the caller is cancelled, the message is taken out."""
        outbox = self.of(message)
        waiting = outbox.put(message, options, tag)
        try:
            return await waiting.outcome
        except asyncio.CancelledError:
            outbox.caller_cancelled(waiting)
            raise

    async def flush(self) -> None:
        """Send everything that waits now. Return when each of these messages has its receipt."""
        await asyncio.gather(self._bulk.flush(), self._urgent.flush())

    async def aclose(self, grace: float) -> None:
        """Accept no more messages, and allow `grace` seconds for sending the queue. What is left becomes NotSent."""
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
