"""DeliveryTracker: fed with receipts, callbacks and look-ups, it says what became of each message.

What news means is in ladder.py, where it is kept in store.py and sqlite.py. The tracker never asks the service by
itself: `poll_until_final` is given the function that asks.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from ..checks import require_number
from ..errors import CallFailed, ChangesMissed, Forbidden, Unauthorized
from ..protocol.callbacks import StatusCallback
from ..protocol.receipts import Accepted, Receipt
from ..protocol.statuses import MAX_IDS, MessageStatus, Status
from .ladder import Delivery, DeliveryChange, StatusEvent
from .store import MemoryStore, Store

__all__ = ["DeliveryTracker"]

LookUp = Callable[[list[str]], Awaitable[Mapping[str, MessageStatus]]]

_GROWTH = 1.5


class DeliveryTracker:
    """What is known of each message. News may come in any order, twice, and before the send's own receipt.

    `store` is a MemoryStore by default. `backlog` is how many changes may wait for each reader of `changes`. `wait`
    and `changes` know only the news that this tracker was fed with. What another process wrote into the same file is
    seen by `delivery` and `poll_until_final`.
    """

    def __init__(self, store: Store | None = None, *, backlog: int = 10_000) -> None:
        require_number("backlog", backlog, minimum=1, whole=True)
        self._store: Store = MemoryStore() if store is None else store
        self._backlog = backlog
        self._readers: set[_Reader] = set()
        self._waiters: dict[str, set[asyncio.Future[Delivery]]] = {}
        self._polls: set[_Poll] = set()
        self._recording: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Wait until all news that came is stored, then close the store."""
        if self._recording:
            await asyncio.wait(self._recording)
        await self._store.aclose()

    # What it is fed with

    async def on_status(self, events: Sequence[StatusCallback]) -> None:
        """Record callbacks. They are stored on return. Fits `CallbackReceiver(on_status=tracker.on_status)`."""
        await self._record(
            [StatusEvent(each.message_id, each.status, each.timestamp, each.error_code) for each in events]
        )

    async def on_receipts(self, receipts: Iterable[Receipt]) -> None:
        """Record receipts of sends. Those without a message id are passed over."""
        accepted = (each for each in receipts if isinstance(each, Accepted))
        await self._record([StatusEvent(each.message_id, Status.ACCEPTED) for each in accepted])

    async def on_look_up(self, statuses: Iterable[MessageStatus]) -> None:
        """Record what a look-up found."""
        await self._record([StatusEvent(each.message_id, each.status, each.status_date_time) for each in statuses])

    # What it is asked

    async def delivery(self, message_id: str) -> Delivery:
        """Return what is known of a message. The status is None if nothing is known."""
        return (await self._store.get([message_id]))[message_id]

    async def wait(self, message_id: str, timeout: float | None = None) -> Delivery:
        """Wait until a message is final and return what is known of it. Raises TimeoutError after `timeout` seconds."""
        told: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        # Register before the query, or news that comes between the two would be missed.
        self._waiters.setdefault(message_id, set()).add(told)
        try:
            async with asyncio.timeout(timeout):
                known = await self.delivery(message_id)
                return known if known.final else await told
        finally:
            waiters = self._waiters.get(message_id, set())
            waiters.discard(told)
            if not waiters:
                self._waiters.pop(message_id, None)

    async def changes(self) -> AsyncGenerator[DeliveryChange, None]:
        """Yield every change from now on. Raises ChangesMissed if the reader falls more than `backlog` behind."""
        reader = _Reader(self._backlog)
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
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> dict[str, Delivery]:
        """Look the messages up until all are final, or for `deadline` seconds. Return what is known of each.

        `look_up` is `devino.statuses`. It gets 500 ids at a time, and only those that are not final yet, by callbacks
        for example. The pause between two rounds is `pause` seconds at first and grows by half, up to `max_pause`. A
        look-up that fails is repeated in the next round. Unauthorized and Forbidden are raised.
        """
        until = None if deadline is None else clock() + deadline
        wanted: dict[str, None] = {}
        poll = _Poll()
        for batch in _batches(message_ids):
            wanted.update(dict.fromkeys(batch))
            poll.add(batch)
            await asyncio.sleep(0)
        self._polls.add(poll)
        try:
            while True:
                for batch in _batches(poll.left()):
                    await self._ask(await self._left_of(batch, poll), look_up)
                now = clock()
                if poll.is_over() or (until is not None and now >= until):
                    return await self._store.get(wanted)
                await poll.rest(sleep(pause if until is None else min(pause, until - now)))
                pause = min(pause * _GROWTH, max_pause)
        finally:
            self._polls.discard(poll)

    async def prune(self, seconds: float) -> int:
        """Forget messages without news for that many seconds and return their number."""
        return await self._store.prune(seconds)

    # Inside

    async def _record(self, events: Sequence[StatusEvent]) -> None:
        # In a task of its own, which a cancelled caller leaves running. Otherwise news could reach the store, and
        # those that wait for it would never be woken.
        recording = asyncio.create_task(self._note(events), name="devino-tracker")
        self._recording.add(recording)
        recording.add_done_callback(self._recorded)
        await asyncio.wait({recording})
        await recording

    def _recorded(self, recording: "asyncio.Task[None]") -> None:
        self._recording.discard(recording)
        if not recording.cancelled():
            # Marks the error as seen: if the caller was cancelled, asyncio would log it as never retrieved.
            recording.exception()

    async def _note(self, events: Sequence[StatusEvent]) -> None:
        for change in await self._store.add(events):
            for reader in self._readers:
                reader.add(change)
            if change.after.final:
                for poll in self._polls:
                    poll.settled(change.after.message_id)
                for told in self._waiters.get(change.after.message_id, ()):
                    if not told.done():
                        told.set_result(change.after)

    async def _left_of(self, batch: list[str], poll: "_Poll") -> list[str]:
        """Return what is left of a batch. Another process may have settled some of it."""
        for each in (await self._store.get(batch)).values():
            if each.final:
                poll.settled(each.message_id)
        return poll.left(batch)

    async def _ask(self, message_ids: list[str], look_up: LookUp) -> None:
        if not message_ids:
            return
        try:
            found = await look_up(message_ids)
        except (Unauthorized, Forbidden):
            raise
        except CallFailed:
            return
        await self.on_look_up(found.values())


class _Poll:
    """The messages that one poll still waits for."""

    def __init__(self) -> None:
        self._left: dict[str, None] = {}
        self._over = asyncio.Event()

    def add(self, message_ids: Iterable[str]) -> None:
        self._left.update(dict.fromkeys(message_ids))

    def settled(self, message_id: str) -> None:
        self._left.pop(message_id, None)
        if not self._left:
            self._over.set()

    def left(self, some: Iterable[str] | None = None) -> list[str]:
        return list(self._left) if some is None else [each for each in some if each in self._left]

    def is_over(self) -> bool:
        return not self._left

    async def rest(self, sleep: Awaitable[None]) -> None:
        """Sleep, but wake up as soon as no message is left."""
        tasks = {asyncio.ensure_future(sleep), asyncio.create_task(self._wait())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self) -> None:
        await self._over.wait()


class _Reader:
    """The changes that wait for one reader."""

    def __init__(self, max_waiting: int) -> None:
        self._max_waiting = max_waiting
        self._waiting: deque[DeliveryChange] = deque()
        self._missed = 0
        self._woken = asyncio.Event()

    def add(self, change: DeliveryChange) -> None:
        if len(self._waiting) < self._max_waiting:
            self._waiting.append(change)
        else:
            self._missed += 1
        self._woken.set()

    async def next(self) -> DeliveryChange:
        while not self._waiting:
            if self._missed:
                raise ChangesMissed(f"{self._missed:,} changes were missed, as they were not read in time")
            self._woken.clear()
            await self._woken.wait()
        return self._waiting.popleft()


def _batches(message_ids: Iterable[str]) -> Iterable[list[str]]:
    left = iter(message_ids)
    while batch := list(islice(left, MAX_IDS)):
        yield batch
