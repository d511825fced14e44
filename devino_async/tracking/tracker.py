"""DeliveryTracker: fed with receipts, callbacks and look-ups, it tells what became of each message.

What news means is the ladder's, where it is kept the stores'. It asks the service nothing by itself: `poll_until_final`
is given what asks.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from ..errors import CallFailed, ChangesMissed, ConfigurationError, Forbidden, Unauthorized
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

    `store` is a MemoryStore if not given; `backlog` is how many changes may wait for each reader of `changes`. `wait`
    and `changes` tell of news that this tracker was fed; what another process wrote into the same file is seen by
    `delivery` and `poll_until_final` only.
    """

    def __init__(self, store: Store | None = None, *, backlog: int = 10_000) -> None:
        if type(backlog) is not int or backlog < 1:
            raise ConfigurationError("backlog must be a whole number of 1 or more")
        self._store: Store = MemoryStore() if store is None else store
        self._backlog = backlog
        self._readers: set[_Reader] = set()
        self._waiters: dict[str, set[asyncio.Future[Delivery]]] = {}
        self._polls: set[_Poll] = set()
        self._taking: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the store, when it has what it was given."""
        if self._taking:
            await asyncio.wait(self._taking)
        await self._store.aclose()

    # What it is fed

    async def on_status(self, events: Sequence[StatusCallback]) -> None:
        """Take callbacks; when it returns the store has them. Fits `CallbackReceiver(on_status=tracker.on_status)`."""
        await self._take(
            [StatusEvent(each.message_id, each.status, each.timestamp, each.error_code) for each in events]
        )

    async def on_receipts(self, receipts: Iterable[Receipt]) -> None:
        """Take receipts of sends; those of messages that have no id tell nothing."""
        accepted = (each for each in receipts if isinstance(each, Accepted))
        await self._take([StatusEvent(each.message_id, Status.ACCEPTED) for each in accepted])

    async def on_look_up(self, statuses: Iterable[MessageStatus]) -> None:
        """Take what a look-up found."""
        await self._take([StatusEvent(each.message_id, each.status, each.status_date_time) for each in statuses])

    # What it tells

    async def delivery(self, message_id: str) -> Delivery:
        """What is known of a message; a status of None if that is nothing."""
        return (await self._store.get([message_id]))[message_id]

    async def wait(self, message_id: str, timeout: float | None = None) -> Delivery:
        """What is known of a message as soon as that is final. Raises TimeoutError after `timeout` seconds."""
        told: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        # Listening comes before looking, or news between the two would be missed.
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
        """Every change from now on. Raises ChangesMissed if this reader falls more than `backlog` changes behind."""
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
        longest_pause: float = 300.0,
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> dict[str, Delivery]:
        """Ask until all of the messages are final, or `deadline` seconds have passed; gives what is known of each.

        `look_up` is `devino.statuses`, asked for 500 ids at a time and only for those that are not final yet, by
        callbacks for example. Rounds begin `pause` seconds apart, growing by half to `longest_pause`. A look-up that
        fails is asked again with the next round; Unauthorized and Forbidden are raised.
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
                pause = min(pause * _GROWTH, longest_pause)
        finally:
            self._polls.discard(poll)

    async def prune(self, seconds: float) -> int:
        """Forget messages of which nothing was told for so many seconds; gives how many."""
        return await self._store.prune(seconds)

    # Inside

    async def _take(self, events: Sequence[StatusEvent]) -> None:
        # In a task of its own: were a cancelled caller to cut it short, what the store has would never be told of.
        taking = asyncio.create_task(self._note(events), name="devino-tracker")
        self._taking.add(taking)
        taking.add_done_callback(self._taken)
        await asyncio.wait({taking})
        await taking

    def _taken(self, taking: "asyncio.Task[None]") -> None:
        self._taking.discard(taking)
        if not taking.cancelled():
            # Asked for, so that nobody complains when the caller who would have heard of it has left.
            taking.exception()

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
        """What is left of a batch; another process may have settled some."""
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
        """Sleep, but no longer than until nothing is left."""
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

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[DeliveryChange] = deque()
        self._missed = 0
        self._woken = asyncio.Event()

    def add(self, change: DeliveryChange) -> None:
        if len(self._waiting) < self._most:
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
