"""DeliveryTracker: fed with receipts, callbacks and look-ups, it says what became of each message.

ladder.py says what news means, and store.py and sqlite.py keep it. The tracker never asks the service by itself.
The caller gives `poll_until_final` the function that asks.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from ..checks import OneLoop, require_callable, require_number
from ..errors import CallFailed, Forbidden, Unauthorized
from ..protocol.callbacks import StatusCallback
from ..protocol.receipts import Accepted, Receipt
from ..protocol.statuses import MAX_IDS, MessageStatus, Status
from .ladder import Delivery, DeliveryChange, StatusEvent
from .rounding import family_of
from .store import MemoryStore, Store
from .waiting import Poll, Reader, Round

__all__ = ["DeliveryTracker"]

LookUp = Callable[[list[str]], Awaitable[Mapping[str, MessageStatus]]]
OnFailure = Callable[[list[str], CallFailed], object]

_GROWTH = 1.5


class DeliveryTracker:
    """What is known of each message. News may come in any order, twice, and before the send's own receipt.

    `store` is a MemoryStore by default. `backlog` is how many changes may wait for each reader of `changes`. `wait`
    and `changes` see only the news given to this tracker. What another process wrote into the same file is seen only
    by `delivery` and `poll_until_final`.

    News of an id rounded to a float64 counts for the known id with that float64, if there is only one. A tracker is
    used on one event loop. It may move to another only after the first is closed. Until then a call on a second loop
    raises ConfigurationError.
    """

    def __init__(self, store: Store | None = None, *, backlog: int = 10_000) -> None:
        require_number("backlog", backlog, minimum=1, whole=True)
        self._store: Store = MemoryStore() if store is None else store
        self._backlog = backlog
        self._readers: set[Reader] = set()
        self._waiters: dict[str, set[asyncio.Future[Delivery]]] = {}
        # The ids that callers wait for, by float64: news of a rounded id with the same float64 may be about them.
        self._waited_near: dict[float, set[str]] = {}
        self._loop = OneLoop("tracker", may_move=True)
        self._polls: set[Poll] = set()
        self._recording: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait until all news received so far is stored, then close the store."""
        if self._recording:
            await asyncio.wait(self._recording)
        await self._store.aclose()

    # Recording news

    async def on_status(self, events: Sequence[StatusCallback]) -> None:
        """Record callbacks. They are stored on return. Fits `CallbackReceiver(on_status=tracker.on_status)`."""
        await self._record(
            [StatusEvent(each.message_id, each.status, each.timestamp, each.error_code) for each in events]
        )

    async def on_receipts(self, receipts: Iterable[Receipt]) -> None:
        """Record receipts of sends. Receipts without a message id are skipped."""
        accepted = (each for each in receipts if isinstance(each, Accepted))
        await self._record([StatusEvent(each.message_id, Status.ACCEPTED) for each in accepted])

    async def on_look_up(self, statuses: Iterable[MessageStatus]) -> None:
        """Record what a look-up found."""
        await self._record([StatusEvent(each.message_id, each.status, each.status_date_time) for each in statuses])

    # Answering

    async def delivery(self, message_id: str) -> Delivery:
        """Return what is known of a message. The status is None if nothing is known."""
        self._loop.check(asyncio.get_running_loop())
        return (await self._store.get([message_id]))[message_id]

    async def wait(self, message_id: str, timeout: float | None = None) -> Delivery:
        """Wait until a message is final and return what is known of it. Raises TimeoutError after `timeout` seconds."""
        self._loop.check(asyncio.get_running_loop())
        told: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        # Register before the query, or news that comes between the two would be missed.
        self._waiters.setdefault(message_id, set()).add(told)
        rounded = family_of(message_id)
        if rounded is not None:
            self._waited_near.setdefault(rounded, set()).add(message_id)
        try:
            async with asyncio.timeout(timeout):
                known = await self.delivery(message_id)
                return known if known.final else await told
        finally:
            waiters = self._waiters.get(message_id, set())
            waiters.discard(told)
            if not waiters:
                self._waiters.pop(message_id, None)
                self._no_longer_near(message_id)

    async def changes(self) -> AsyncGenerator[DeliveryChange, None]:
        """Yield every change from now on. Raises ChangesMissed if the reader falls more than `backlog` behind."""
        self._loop.check(asyncio.get_running_loop())
        reader = Reader(self._backlog)
        self._readers.add(reader)
        try:
            while True:
                yield await reader.next()
        finally:
            self._readers.discard(reader)

    async def poll_until_final(
        self,
        message_ids: Iterable[str],
        look_up: LookUp,
        *,
        pause: float = 5.0,
        max_pause: float = 300.0,
        deadline: float | None = None,
        max_failed_rounds: int = 10,
        on_failure: OnFailure | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> dict[str, Delivery]:
        """Look up the messages until all are final or `deadline` seconds have passed. Return what is known of each.

        Pass `devino.statuses` as `look_up`. It gets up to 500 ids at a time, without those that have become final in
        the meantime, for example by a callback. The pause between two rounds is `pause` seconds at first and grows by
        half, up to `max_pause`.

        A look-up that fails is repeated in the next round. `on_failure(ids, error)` is called for it, and the log says
        once a round how many failed and why. The last error is raised after `max_failed_rounds` rounds in a row in
        which every look-up failed. It is also raised at the deadline if no look-up was ever answered.
        Unauthorized and Forbidden are raised at once. What was learned stays in the tracker.
        """
        require_number("max_failed_rounds", max_failed_rounds, minimum=1, whole=True)
        require_callable("on_failure", on_failure)
        self._loop.check(asyncio.get_running_loop())
        until = None if deadline is None else clock() + deadline
        wanted: dict[str, None] = {}
        poll = Poll()
        for batch in _batches(message_ids):
            wanted.update(dict.fromkeys(batch))
            poll.add(batch)
            await asyncio.sleep(0)
        self._polls.add(poll)
        try:
            while True:
                failures = Round()
                for batch in _batches(poll.left()):
                    await self._ask(await self._left_of(batch, poll), look_up, failures, on_failure)
                poll.round_ended(failures)
                now = clock()
                if poll.is_over():
                    return await self._store.get(wanted)
                at_deadline = until is not None and now >= until
                if poll.error is not None and (
                    poll.failed_rounds >= max_failed_rounds or (at_deadline and not poll.was_answered)
                ):
                    raise poll.error
                if until is not None and at_deadline:
                    return await self._store.get(wanted)
                await poll.rest(sleep(pause if until is None else min(pause, until - now)))
                pause = min(pause * _GROWTH, max_pause)
        finally:
            self._polls.discard(poll)

    async def prune(self, seconds: float) -> int:
        """Forget messages that have had no news for that many seconds. Return how many there were."""
        self._loop.check(asyncio.get_running_loop())
        return await self._store.prune(seconds)

    # Inside

    async def _record(self, events: Sequence[StatusEvent]) -> None:
        self._loop.check(asyncio.get_running_loop())
        # In a task of its own, which a cancelled caller leaves running. Otherwise news could be stored without its
        # waiters ever being woken.
        recording = asyncio.create_task(self._note(events), name="devino-tracker")
        self._recording.add(recording)
        recording.add_done_callback(self._recorded)
        await asyncio.wait({recording})
        await recording

    def _recorded(self, recording: "asyncio.Task[None]") -> None:
        self._recording.discard(recording)
        if not recording.cancelled():
            # Marks the error as retrieved. Otherwise asyncio would log it if the caller was cancelled.
            recording.exception()

    async def _note(self, events: Sequence[StatusEvent]) -> None:
        for change in await self._store.add(events):
            for reader in self._readers:
                reader.add(change)
            if change.after.final:
                for poll in self._polls:
                    poll.settled(change.after.message_id)
                self._wake(change.after)
                for neighbour in self._waited_near_to(change.after.message_id):
                    if (known := await self._store.get([neighbour]))[neighbour].final:
                        self._wake(known[neighbour])

    def _wake(self, known: Delivery) -> None:
        for told in self._waiters.get(known.message_id, ()):
            if not told.done():
                told.set_result(known)

    def _waited_near_to(self, message_id: str) -> set[str]:
        """Return the other ids that callers wait for and that share the float64 of this one."""
        rounded = family_of(message_id)
        return set() if rounded is None else self._waited_near.get(rounded, set()) - {message_id}

    def _no_longer_near(self, message_id: str) -> None:
        rounded = family_of(message_id)
        if rounded is not None and (near := self._waited_near.get(rounded)):
            near.discard(message_id)
            if not near:
                del self._waited_near[rounded]

    async def _left_of(self, batch: list[str], poll: Poll) -> list[str]:
        """Return what is left of a batch. Another process may have settled some of it."""
        for each in (await self._store.get(batch)).values():
            if each.final:
                poll.settled(each.message_id)
        return poll.left(batch)

    async def _ask(self, message_ids: list[str], look_up: LookUp, asked: Round, on_failure: OnFailure | None) -> None:
        if not message_ids:
            return
        asked.look_ups += 1
        try:
            found = await look_up(message_ids)
        except (Unauthorized, Forbidden):
            raise
        except CallFailed as error:
            asked.errors.append(error)
            if on_failure is not None:
                on_failure(message_ids, error)
            return
        await self.on_look_up(found.values())


def _batches(message_ids: Iterable[str]) -> Iterable[list[str]]:
    left = iter(message_ids)
    while batch := list(islice(left, MAX_IDS)):
        yield batch
