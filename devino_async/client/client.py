"""DevinoClient: joins sending, look-ups and the transport. It deals with neither HTTP statuses nor JSON."""

import asyncio
import time
import warnings
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable
from contextlib import aclosing
from datetime import datetime, tzinfo
from functools import partial
from typing import TYPE_CHECKING, Self

from ..checks import require_callable, require_kind, require_number
from ..errors import ClientClosed
from ..events import Events, OnEvent
from ..flow.ownership import Owner
from ..flow.steps import Turns
from ..protocol import account, sending, statistics
from ..protocol.account import Account
from ..protocol.details import DetailQuery
from ..protocol.message import Message
from ..protocol.receipts import Receipt, SendReport
from ..protocol.statistics import GroupBy, Statistics
from ..protocol.statuses import MessageStatus
from ..redaction import forgets_arguments
from ..transport.limits import Limits
from ..transport.pool import PoolOptions, SessionPool, Timeouts
from ..transport.retry import RetryPolicy
from ..transport.stack import stacked
from .batches import Batches
from .config import base_url_from, credentials_from, options_from
from .dispatch import CloseReport, Dispatch, OnUnclaimed
from .hours import require_schedule
from .lookups import PROBE, DetailPaginator, LookUps
from .outbox import OutboxOptions
from .outboxes import Outboxes
from .pieces import SendOptions

if TYPE_CHECKING:
    from ..campaigns.journal import Journal
    from ..campaigns.reconcile_report import ReconcileReport
    from ..campaigns.schedule import Schedule

__all__ = ["CloseReport", "DetailPaginator", "DevinoClient"]


@forgets_arguments
class DevinoClient:
    """The Devino SMS API. Make one for each event loop and keep it. It is safe to use from many tasks.

    Credentials are either `api_key`, or `login` and `password`, or the environment (DEVINO_API_KEY, or DEVINO_LOGIN
    and DEVINO_PASSWORD). Nothing is opened before the first call.

    - `base_url`: the address of the service. The default is DEVINO_BASE_URL, or https://api.devino.online.
    - `timeouts`, `retry`, `limits`, `pool`, `outbox`: see the classes of the same names.
    - `journal`: remembers campaigns and keyed sends beyond the life of this process. The client does not close it.
    - `time_zone`: the zone of the service's dates, which the API docs do not name. Without it they stay naive.
    - `on_unclaimed`: called with receipts whose caller was cancelled, or left `send_many` early.
    - `on_event`: called with each event.

    Hooks must be quick. An error in one is logged and changes no outcome. Raises ConfigurationError.
    """

    _closed = True  # Until __init__ has ended, because __del__ runs even if __init__ failed or never ran.

    def __init__(
        self,
        api_key: str | None = None,
        *,
        login: str | None = None,
        password: str | None = None,
        base_url: str | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
        pool: PoolOptions | None = None,
        outbox: OutboxOptions | None = None,
        journal: "Journal | None" = None,
        time_zone: tzinfo | None = None,
        on_unclaimed: OnUnclaimed | None = None,
        on_event: OnEvent | None = None,
    ) -> None:
        require_callable("on_unclaimed", on_unclaimed)
        require_callable("on_event", on_event)
        timeouts, retry, limits, pool, outbox = options_from(timeouts, retry, limits, pool, outbox)
        require_kind("time_zone", time_zone, tzinfo, optional=True)
        credentials = credentials_from(api_key, login, password)
        self._base_url = base_url_from(base_url)
        self._pool = SessionPool(
            self._base_url, credentials.header, redaction=credentials.redaction, timeouts=timeouts, options=pool
        )
        events = Events(on_event)
        turns = Turns()  # One for the whole client, so that all long work makes way for urgent sends.
        clock = time.monotonic
        transport, self._breaker = stacked(self._pool, PROBE, limits=limits, retry=retry, events=events, clock=clock)
        batches = Batches(transport, self._breaker, turns, retry=retry, limits=limits, events=events)
        self._owner = Owner()
        self._zone = time_zone
        self._closed = False
        self._dispatch = Dispatch(
            batches, self._owner, turns, clock=clock, limits=limits, events=events, on_unclaimed=on_unclaimed
        )
        if journal is not None:
            self._dispatch.remember_in(journal, self._base_url, timeouts.total_for)
        self._outboxes = Outboxes(self._dispatch, self._owner, turns, outbox, limits=limits, clock=clock)
        self._look_ups = LookUps(transport, self._owner, turns, limits, time_zone, events=events)

    def __repr__(self) -> str:
        return f"DevinoClient({self._base_url!r}{', closed' if self._closed else ''})"

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        if not self._closed and self._pool.opened:
            _warn(f"unclosed {self!r}: use 'async with' or await aclose()", ResourceWarning, source=self, stacklevel=2)

    # Sending

    async def send(
        self, message: Message, *, key: str | None = None, include_segment_id: bool = False, shorten_url: bool = False
    ) -> Receipt:
        """Send one message and return what became of it. Network and service failures are in the receipt, never raised.

        Concurrent calls share POSTs. A message leaves at once while fewer than `Limits.in_flight` exchanges are in
        flight. Otherwise it leaves with all others that wait, as soon as an exchange ends. Priorities HIGH and REALTIME
        have a limit of their own and never wait for a campaign. `include_segment_id` asks for the ids of the segments,
        and `shorten_url` makes the service shorten links.

        With a `key` the message is sent at most once for the life of the journal. A later call with an equal message
        returns the recorded receipt. After NotSent the key is free again. A cancelled caller returns at once, and its
        receipt goes to `on_unclaimed`: NotSent if the message still waited, else what the exchange came to.

        Raises ClientClosed, OutboxFull if OutboxOptions says so, and InvalidMessage for what is not a Message. With a
        `key`: KeyConflict if it belongs to another message, JournalFailed, and ConfigurationError without a journal.
        """
        self._check_open()
        self._owner.check_home()
        options = SendOptions.of(include_segment_id, shorten_url, key is not None)
        if key is not None:
            return await self._dispatch.journaled_for("key").send(message, key, partial(self._outboxes.send, options))
        outbox = self._outboxes.of(message)
        waiting = outbox.put(message, options)
        # The await is not in the outbox, because one more coroutine for each waiting message would cost 7 % of all CPU
        # time where 20,000 wait (benchmarks/singles.py).
        try:
            return await waiting.outcome
        except asyncio.CancelledError:
            outbox.caller_cancelled(waiting)
            raise

    async def flush(self) -> None:
        """Let the waiting messages of all `send` calls leave now, and return when each has its receipt."""
        self._check_open()
        self._owner.check_home()
        await self._outboxes.flush()

    def send_many(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        *,
        campaign: str | None = None,
        only_new: bool = False,
        schedule: "Schedule | None" = None,
        batch_size: int = sending.MAX_MESSAGES,
        include_segment_id: bool = False,
        shorten_url: bool = False,
    ) -> AsyncGenerator[Receipt, None]:
        """Send any number of messages. Gives one receipt for each, in the order of the input.

        The input is read lazily, up to `batch_size` (1 to 32,000) messages and `Limits.batch_bytes` bytes to a batch.
        At most `Limits.in_flight` batches are in flight, whatever their priority. If a slow consumer stops early, the
        receipts of up to `Limits.in_flight` + 1 batches can go to `on_unclaimed`. The message of a receipt equals the
        one that was given.

        With the name of a `campaign` every run gives a receipt for every message, and sends only messages without a
        final receipt in the journal. Messages are recognised by their places, or with `only_new` by their content in
        any order. Out of the window of a `schedule` the stream waits, and after its deadline the rest is NotSent. An
        error that ends it early is raised after the receipts of all that was read. It is Unauthorized, Forbidden,
        SendingRefused, DeadlineExceeded or TooManyRequests after `RetryPolicy.stream_deadline`, OutcomeUnknown after
        three trial batches in doubt, ClientClosed, JournalError, a failure that no retry can fix, or an error of the
        input.
        """
        self._check_open()
        require_number("batch_size", batch_size, minimum=1, maximum=sending.MAX_MESSAGES, whole=True)
        options = SendOptions.of(include_segment_id, shorten_url)
        begin = self._dispatch.beginning_of(campaign, only_new)
        return self._dispatch.stream(messages, batch_size, options, begin, require_schedule(schedule))

    async def send_all(
        self,
        messages: Iterable[Message] | AsyncIterable[Message],
        *,
        campaign: str | None = None,
        only_new: bool = False,
        schedule: "Schedule | None" = None,
        batch_size: int = sending.MAX_MESSAGES,
        include_segment_id: bool = False,
        shorten_url: bool = False,
    ) -> SendReport:
        """Send any number of messages and return all receipts. Raises what `send_many` raises."""
        stream = self.send_many(
            messages,
            campaign=campaign,
            only_new=only_new,
            schedule=schedule,
            batch_size=batch_size,
            include_segment_id=include_segment_id,
            shorten_url=shorten_url,
        )
        return await self._dispatch.report(stream)

    async def reconcile(self, *, campaign: str | None = None, key: str | None = None) -> "ReconcileReport":
        """Look up messages in doubt, of a campaign, a key, or all keyed sends, and settle those that are found."""
        self._check_open()
        return await self._dispatch.journaled_for("reconcile").reconcile(campaign, key, self._look_ups)

    # Reading back

    async def statuses(self, ids: Iterable[str | int] | AsyncIterable[str | int]) -> dict[str, MessageStatus]:
        """Return the statuses of any number of messages by id. Ids that the service does not know are absent."""
        return {each.message_id: each async for each in self.iter_statuses(ids)}

    async def iter_statuses(
        self, ids: Iterable[str | int] | AsyncIterable[str | int]
    ) -> AsyncGenerator[MessageStatus, None]:
        """Yield the statuses of any number of messages, in input order. 500 go in one call, and a few calls at once.

        Raises InvalidQuery for what cannot be an id, and CallFailed if a look-up fails for good.
        """
        async with aclosing(self._look_ups.statuses(ids)) as found:
            async for each in found:
                yield each

    def details(self, query: DetailQuery, *, page_size: int = 500, start_offset: int = 0) -> DetailPaginator:
        """Return what is known of the messages that match. No request is made before iteration."""
        self._check_open()
        return self._look_ups.details(query, page_size, start_offset)

    async def statistics(
        self,
        start_date: datetime,
        end_date: datetime,
        *,
        group_by: GroupBy = GroupBy.NONE,
        task_id: int | None = None,
        trigger_id: int | None = None,
        time_offset: int | None = None,
    ) -> Statistics:
        """Counts of messages and segments by status and period. `time_offset` is in minutes, 180 for Moscow."""
        call = statistics.call(
            start_date,
            end_date,
            group_by=group_by,
            task_id=task_id,
            trigger_id=trigger_id,
            time_offset=time_offset,
            zone=self._zone,
        )
        return await self._look_ups.statistics(call)

    async def account(self) -> Account:
        """The account's balance and state."""
        return account.read(await self._look_ups.ask(account.call()))

    # Closing

    async def aclose(self, grace: float = 30.0) -> CloseReport:
        """Accept no more work, wait up to `grace` seconds for what is in flight, then cut it short and close.

        A send that is cut short still gets its receipts. The report holds those that became unconfirmed. A second call
        with a shorter `grace` ends the wait sooner. A `send` that waits for room in a full outbox raises ClientClosed.
        Raises ConfigurationError for a bad `grace`, and JournalFailed if outcomes could not be written.
        """
        require_number("grace", grace, unit="seconds")
        self._owner.check_home()
        self._closed = True
        self._dispatch.close()
        self._look_ups.close()
        self._breaker.close()
        try:
            until = time.monotonic() + grace
            await self._outboxes.aclose(grace)
            await self._owner.drain(max(0.0, until - time.monotonic()))
        except asyncio.CancelledError:
            await self._owner.drain(0)
            raise
        finally:
            await self._pool.aclose()
            await self._dispatch.aclose()
        return CloseReport(tuple(self._dispatch.unconfirmed))

    # Inside

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("the client is closed")
