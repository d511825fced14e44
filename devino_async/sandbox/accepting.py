"""POST /sms/messages: every message is checked, and accepted or rejected on its own.

A POST is kept all or nothing: only when its whole body was read. What is wrong with a message, checking.py says.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from hashlib import blake2s
from itertools import count
from typing import Any

from aiohttp import web
from attrs import define, field

from .bodies import slices_of
from .checking import problems_of, scheduled_at
from .clock import Clock
from .loopback import is_loopback
from .parameters import LARGEST_WHOLE, Parameters, whole_in
from .segments import segment_count
from .stages import fate_of
from .store import Row, Store

__all__ = ["Accepting"]

# Messages taken in one go, which is about a millisecond's work.
_STEP = 125
_LINK = re.compile(r"https?://\S+")
# Above 2^53, as the service's ids are, so that a client that reads them as floats is found out.
_FIRST_ID = 3_701_172_084_729_885_952


@define
class _Intake:
    """One POST: how its messages are taken, and what they came to so far."""

    task: int
    now: float
    with_segments: bool
    shorten: bool
    results: list[str] = field(factory=list)
    messages: list[Any] = field(factory=list)
    reports: list[Any] = field(factory=list)
    tally: dict[Row, list[int]] = field(factory=dict)

    def tally_cells(self) -> list[Any]:
        """What the POST brought, summed up by kind."""
        return [cell for kind, sums in self.tally.items() for cell in (*kind, *sums)]


class Accepting:
    """Takes messages in. Ids rise by one a segment, so that segments have ids of their own."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._next_id = _FIRST_ID
        self._tasks = count(1)
        self.skipped = 0

    async def resume(self) -> None:
        """Go on after the highest id of a database that was there before."""
        [(last_id, last_task)] = await self._store.rows("SELECT max(id + segments), max(task) FROM message")
        self._next_id = max(self._next_id, last_id or 0)
        self._tasks = count((last_task or 0) + 1)

    async def post(self, request: web.Request) -> web.Response:
        """Answer a POST of messages."""
        parameters = Parameters(request.query)
        with_segments, shorten = parameters.flag("includeSegmentId"), parameters.flag("shortenUrl")
        body = await request.read()
        intake = _Intake(next(self._tasks), self._clock.now(), with_segments, shorten)
        for index, message in enumerate(_flattened(slices_of(body))):
            self._take(intake, index, message)
            if index % _STEP == _STEP - 1:
                await asyncio.sleep(0)
        await self._store.add(message=intake.messages, tally=intake.tally_cells(), report=intake.reports)
        return web.Response(text=f'{{"result": [{", ".join(intake.results)}]}}', content_type="application/json")

    def _take(self, intake: _Intake, index: int, message: Any) -> None:
        problems = problems_of(message, intake.now)
        if problems:
            intake.results.append(_rejected(index, problems))
            return
        text = _shortened(message["text"]) if intake.shorten else message["text"]
        parts, own_id = segment_count(text), self._next_id
        self._next_id += parts
        kind = _kind(intake, message, text is not message["text"])
        task, now, starts, fate, lifetime = kind
        traffic = "TRANSACTIONAL" if message.get("priority") == "REALTIME" else "ADVERTISING"
        known = (own_id, task, now, starts, message["from"], message["to"], text, parts, traffic, fate, lifetime)
        intake.messages.extend(known)
        _add_up(intake.tally, kind, own_id, parts)
        if message.get("callbackUrl"):
            self._report(intake, own_id, message)
        intake.results.append(_accepted(own_id, parts if intake.with_segments else 0))

    def _report(self, intake: _Intake, own_id: int, message: dict[str, Any]) -> None:
        if not is_loopback(message["callbackUrl"]):
            self.skipped += 1
            return
        options = message.get("options")
        intake.reports.extend(
            (own_id, message["callbackUrl"], None if options is None else json.dumps(options), intake.now)
        )


def _flattened(slices: Iterator[list[Any]]) -> Iterator[Any]:
    for each in slices:
        yield from each


def _kind(intake: _Intake, message: dict[str, Any], shortened: bool) -> Row:
    """Task, when accepted, when it starts, fate and lifetime: all that counts and statuses depend on."""
    if len(message) == 3:
        return intake.task, intake.now, intake.now, fate_of(message["to"], shortened), 0
    planned = message.get("scheduledTime")
    starts = intake.now if planned is None else scheduled_at(planned, intake.now)
    fate = fate_of(message["to"], shortened)
    lifetime = message.get("validity") or 0 if fate == "EXPIRED" else 0
    return _task_in(message.get("options")) or intake.task, intake.now, starts, fate, lifetime


def _add_up(tally: dict[Row, list[int]], kind: Row, own_id: int, parts: int) -> None:
    sums = tally.get(kind)
    if sums is None:
        tally[kind] = [1, parts, own_id, own_id]
    else:
        sums[0] += 1
        sums[1] += parts
        sums[3] = own_id


def _accepted(own_id: int, parts: int) -> str:
    """An item of the answer, written by hand: it holds nothing that JSON would have to escape."""
    if not parts:
        return f'{{"code": "OK", "messageId": "{own_id}", "segmentsId": null}}'
    segments = ", ".join(f'"{own_id + part}"' for part in range(parts))
    return f'{{"code": "OK", "messageId": "{own_id}", "segmentsId": [{segments}]}}'


def _rejected(index: int, problems: list[tuple[str, str]]) -> str:
    reasons = [
        {"key": key, "ref": f"messages[{index}].{ref}", "defaultMessage": f"Error: Invalid field value. Value: {ref}"}
        for key, ref in problems
    ]
    return json.dumps({"code": "REJECTED", "messageId": None, "segmentsId": None, "reasons": reasons})


def _shortened(text: str) -> str:
    """The text with its links replaced; the same object if it has none."""
    return _LINK.sub(_short_link, text) if "http" in text else text


def _short_link(link: re.Match[str]) -> str:
    return f"https://clickdo.integrationapi.net/{blake2s(link.group().encode(), digest_size=5).hexdigest()}"


def _task_in(options: Any) -> int | None:
    if not options:
        return None
    task = whole_in(str(options.get("taskId", "")))
    return task if task is not None and 0 < task <= LARGEST_WHOLE else None
