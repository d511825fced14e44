"""Callbacks: the sandbox POSTs statuses and incoming messages, to loopback addresses only.

An address that does not answer 200 is tried again in the next round. After a few tries its events are dropped.
Deliberate faults are in faults.py.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from attrs import frozen

from .arrivals import Arrivals
from .clock import Clock
from .faults import Mishaps
from .loopback import is_loopback
from .stages import history
from .store import Row, Store
from .troubles import Faults

__all__ = ["Callbacks"]

_EVENTS_A_POST = 1_000
# Reports read at once. Their events are made in one turn of the event loop.
_WINDOW = 1_000
_MAX_TRIES = 5
# Seconds until a receiver must have answered.
_TIMEOUT = 10
_MAX_POSTS_IN_FLIGHT = 8
_ERROR_CODES = {"REJECTED": 2005, "UNDELIVERABLE": 2001, "EXPIRED": 2002}
_DUE = """SELECT id, url, options, due, told, accepted, starts, fate, lifetime
    FROM report JOIN message USING (id)
    WHERE due <= :now AND (due, id) > (:due, :id) ORDER BY due, id LIMIT :window"""


@frozen
class _Due:
    """An event to report. After that, `told` and `next_due` are stored in its message's row of `report`."""

    message_id: int
    event: dict[str, Any]
    told: int
    next_due: float | None


class Callbacks:
    """Reports each change of status once, in the order of the changes."""

    def __init__(self, store: Store, clock: Clock, stage: float, faults: Faults, arrivals: Arrivals) -> None:
        self._store = store
        self._clock = clock
        self._stage = stage
        self._faults = faults
        self._arrivals = arrivals
        self._mishaps = Mishaps(faults.callbacks)
        self._tries: dict[str, int] = defaultdict(int)
        self._reporting = asyncio.Lock()
        self._permits = asyncio.Semaphore(_MAX_POSTS_IN_FLIGHT)
        self._session: aiohttp.ClientSession | None = None

    async def run(self) -> None:
        """Report in rounds until cancelled."""
        while True:
            await self._clock.sleep(max(self._stage / 2, 0.05))
            await self.report()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def report(self) -> int:
        """Report the changes since the last round. Return how many events reached their address."""
        async with self._reporting:
            reached, failed = 0, set[str]()
            if self._mishaps.faults is not self._faults.callbacks:
                self._mishaps.follow(self._faults.callbacks)
            async for rows in self._windows():
                due = self._due(rows, failed)
                counts = await asyncio.gather(*(self._report_to(url, events, failed) for url, events in due.items()))
                reached += sum(counts)
            return reached + await self._report_held()

    async def _report_held(self) -> int:
        reached = 0
        for url, events in self._mishaps.take(self._clock.now()).items():
            for start in range(0, len(events), _EVENTS_A_POST):
                part = events[start : start + _EVENTS_A_POST]
                if await self._attempt(url, part):
                    self._tries.pop(url, None)
                    reached += len(part)
                    continue
                self._tries[url] += 1
                if self._tries[url] < _MAX_TRIES:
                    self._mishaps.keep(url, part, self._clock.now())
        return reached

    async def _windows(self) -> AsyncIterator[list[Row]]:
        """Yield the reports that are due, a window at a time. One that stays due after a failure is yielded once."""
        seen: dict[str, Any] = {"now": self._clock.now(), "due": float("-inf"), "id": 0, "window": _WINDOW}
        while rows := await self._store.rows(_DUE, seen):
            yield rows
            seen |= {"id": rows[-1][0], "due": rows[-1][3]}

    def _due(self, rows: list[Row], failed: set[str]) -> dict[str, list[_Due]]:
        due: dict[str, list[_Due]] = defaultdict(list)
        now = self._clock.now()
        for message_id, url, options, _, told, accepted, starts, fate, lifetime in rows:
            if url in failed:
                continue
            steps = history(accepted, starts, fate, lifetime, self._stage)
            for index, (moment, status) in enumerate(steps[told:], told + 1):
                if moment <= now:
                    next_due = steps[index][0] if index < len(steps) else None
                    due[url].append(_Due(message_id, _event(message_id, moment, status, options), index, next_due))
        return due

    async def post(self, url: str, body: Any) -> bool:
        """POST a body to a loopback address and return whether it answered 200. Other addresses are never called."""
        return await self.ask(url, body) == 200

    async def ask(self, url: str, body: Any) -> int | None:
        """POST a body to a loopback address and return the status of the answer, or None if there was no answer."""
        answer = await self._call(url, body)
        return answer if isinstance(answer, int) else None

    async def _attempt(self, url: str, events: list[dict[str, Any]]) -> bool:
        """POST status callbacks, record the attempt for each event, and return whether the answer was 200."""
        answer = await self._call(url, events)
        await self._record(events, str(answer))
        return answer == 200

    async def _record(self, events: list[dict[str, Any]], answer: str) -> None:
        now = self._clock.now()
        rows = [(int(event["messageId"]), event["status"], now, answer) for event in events]
        await self._store.change("INSERT INTO attempt VALUES (?, ?, ?, ?)", rows)
        self._arrivals.notify()

    async def _call(self, url: str, body: Any) -> int | str:
        """Return the status of the answer, or why there was none."""
        if not is_loopback(url):
            return "not an address of this machine"
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT), trust_env=False)
        try:
            async with self._permits, self._session.post(url, json=body, allow_redirects=False) as response:
                return response.status
        except TimeoutError:
            return f"no answer in {_TIMEOUT} s"
        except (aiohttp.ClientError, OSError, ValueError):
            return "no connection"

    async def _report_to(self, url: str, events: list[_Due], failed: set[str]) -> int:
        reached = 0
        for start in range(0, len(events), _EVENTS_A_POST):
            part = events[start : start + _EVENTS_A_POST]
            whole = [each.event for each in part]
            if self._mishaps.faults.active:
                if dropped := self._mishaps.befall(url, whole, self._clock.now()):
                    await self._record(dropped, "dropped by a fault")
            elif await self._attempt(url, whole):
                self._tries.pop(url, None)
                reached += len(part)
            else:
                self._tries[url] += 1
                if self._tries[url] < _MAX_TRIES:
                    failed.add(url)
                    return reached
            await self._store_reported(part)
        return reached

    async def _store_reported(self, events: list[_Due]) -> None:
        """Store what was reported. Most reports share the same state, and one statement stores all of those."""
        alike: dict[tuple[int, float | None], list[int]] = defaultdict(list)
        for each in events:
            alike[each.told, each.next_due].append(each.message_id)
        await self._store.change(
            "UPDATE report SET told = ?, due = ? WHERE id IN (SELECT value FROM json_each(?))",
            [(step, due, json.dumps(ids)) for (step, due), ids in alike.items()],
        )


def _event(message_id: int, moment: float, status: str, options: str | None) -> dict[str, Any]:
    event: dict[str, Any] = {
        "messageId": str(message_id),
        "ts": round(moment * 1000),
        "status": status,
        "errorCode": _ERROR_CODES.get(status, 0),
    }
    if options is not None:
        event["options"] = json.loads(options)
    return event
