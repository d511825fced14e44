"""What the sandbox POSTs by itself: status callbacks and incoming messages, to loopback addresses only.

An address that does not answer 200 is asked again at the next round, up to a few times.
"""

import asyncio
import json
from collections import defaultdict
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from .clock import Clock
from .store import Store

__all__ = ["Callbacks", "is_loopback"]

_EVENTS_A_POST = 1_000
_MOST_TRIES = 5
_POSTS_AT_ONCE = 8
_Due = tuple[int, dict[str, Any], int, bool]
"""Message id, event, how many steps are told with it, and whether it is the last."""

_ERROR_CODES = {"REJECTED": 2005, "UNDELIVERABLE": 2001, "EXPIRED": 2002}


def is_loopback(url: str) -> bool:
    """Whether the address is on this machine; the sandbox sends nothing anywhere else."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Callbacks:
    """Reports every change of status once, in the order in which they happened."""

    def __init__(self, store: Store, clock: Clock, stage: float) -> None:
        self._store = store
        self._clock = clock
        self._stage = stage
        self._tries: dict[str, int] = defaultdict(int)
        self._reporting = asyncio.Lock()
        self._places = asyncio.Semaphore(_POSTS_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None
        self.skipped = 0

    async def run(self) -> None:
        """Report in rounds until cancelled."""
        while True:
            await self._clock.sleep(max(self._stage / 2, 0.05))
            await self.report()

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def report(self) -> int:
        """Report what has happened since the last round; gives how many events reached their address."""
        async with self._reporting:
            due = await self._due()
            return sum(await asyncio.gather(*(self._report_to(url, events) for url, events in due.items())))

    async def _due(self) -> dict[str, list[_Due]]:
        query = """SELECT report.id, url, options, told, starts, fate, accepted, recipient, sender
            FROM report JOIN message USING (id) WHERE done = 0 LIMIT 100000"""
        due: dict[str, list[_Due]] = defaultdict(list)
        now = self._clock.now()
        for message_id, url, options, told, starts, fate, accepted, *_ in await self._store.rows(query):
            history = _history(starts, fate, accepted, self._stage)
            for step, (moment, status) in enumerate(history[told:], told + 1):
                if moment <= now:
                    event = _event(message_id, moment, status, options)
                    due[url].append((message_id, event, step, step == len(history)))
        return due

    async def post(self, url: str, body: Any) -> bool:
        """POST a body to a loopback address; True if it answered 200."""
        if not is_loopback(url):
            self.skipped += 1
            return True
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10), trust_env=False)
        try:
            async with self._places, self._session.post(url, json=body, allow_redirects=False) as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    async def _report_to(self, url: str, events: list[_Due]) -> int:
        reached = 0
        for start in range(0, len(events), _EVENTS_A_POST):
            part = events[start : start + _EVENTS_A_POST]
            if not await self.post(url, [event for _, event, _, _ in part]):
                self._tries[url] += 1
                if self._tries[url] < _MOST_TRIES:
                    return reached
            else:
                self._tries[url] = 0
                reached += len(part)
            told = [(step, last, message_id) for message_id, _, step, last in part]
            await self._store.change("UPDATE report SET told = ?, done = ? WHERE id = ?", told)
        return reached


def _history(starts: float, fate: str, accepted: float, stage: float) -> list[tuple[float, str]]:
    """All statuses of a message and when it reaches them."""
    steps = ["ACCEPTED", "ENROUTE", "SENT"]
    if fate == "CLICKED":
        steps += ["DELIVERED", "CLICKED"]
    elif fate != "SENT":
        steps.append(fate)
    waiting = [(accepted, "SCHEDULED")] if starts > accepted else []
    return waiting + [(starts + index * stage, status) for index, status in enumerate(steps)]


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
