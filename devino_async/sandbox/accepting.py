"""POST /sms/messages: every message is checked, and accepted or rejected on its own."""

import asyncio
import json
import re
from itertools import count
from typing import Any

from aiohttp import web
from attrs import define, field

from .checking import problems_of, scheduled_at
from .clock import Clock
from .envelopes import Refusal, result
from .parameters import Parameters
from .segments import segment_count
from .store import Row, Store, fate_of

__all__ = ["Accepting"]

MOST_MESSAGES = 32_000
_STEP = 500
_LINK = re.compile(r"https?://\S+")
# Above 2^53, as the service's ids are, so that a client that reads them as floats is found out.
_FIRST_ID = 3_701_172_084_729_885_952


@define
class _Taken:
    """What one POST brought so far."""

    results: list[dict[str, Any]] = field(factory=list)
    messages: list[Row] = field(factory=list)
    reports: list[Row] = field(factory=list)


class Accepting:
    """Takes messages in. Ids rise by one a segment, so that segments have ids of their own."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._next_id = _FIRST_ID
        self._tasks = count(1)

    async def resume(self) -> None:
        """Go on after the highest id of a database that was there before."""
        [(last_id, last_task)] = await self._store.rows("SELECT max(id + segments), max(task) FROM message")
        self._next_id = max(self._next_id, last_id or 0)
        self._tasks = count((last_task or 0) + 1)

    async def post(self, request: web.Request) -> web.Response:
        """Answer a POST of messages."""
        parameters = Parameters(request.query)
        with_segments, shorten = parameters.flag("includeSegmentId"), parameters.flag("shortenUrl")
        messages = await _messages_in(request)
        taken, task, now = _Taken(), next(self._tasks), self._clock.now()
        for index, message in enumerate(messages):
            self._take(taken, index, message, (task, now, with_segments, shorten))
            if index % _STEP == _STEP - 1:
                await asyncio.sleep(0)
        await self._store.add(taken.messages, taken.reports)
        return await _written(taken.results)

    def _take(self, taken: _Taken, index: int, message: Any, how: tuple[int, float, bool, bool]) -> None:
        task, now, with_segments, shorten = how
        problems = problems_of(message, now)
        if problems:
            taken.results.append(_rejected(index, problems))
            return
        text = _shortened(message["text"]) if shorten else message["text"]
        parts, own_id, options = segment_count(text), self._next_id, message.get("options")
        self._next_id += parts
        starts = now if message.get("scheduledTime") is None else scheduled_at(message["scheduledTime"], now)
        task = _task_in(options) or task
        traffic = "TRANSACTIONAL" if message.get("priority") == "REALTIME" else "ADVERTISING"
        fate = fate_of(message["to"], text != message["text"])
        taken.messages.append((own_id, task, now, starts, message["from"], message["to"], text, parts, traffic, fate))
        if message.get("callbackUrl"):
            taken.reports.append((own_id, message["callbackUrl"], None if options is None else json.dumps(options)))
        segments = [str(own_id + part) for part in range(parts)] if with_segments else None
        taken.results.append({"code": "OK", "messageId": str(own_id), "segmentsId": segments})


async def _messages_in(request: web.Request) -> list[Any]:
    try:
        body = await asyncio.to_thread(json.loads, await request.read())
    except (ValueError, RecursionError):
        raise Refusal("invalid", "", "the body must be JSON") from None
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list):
        raise Refusal("must.be.not.null", "messages", "must be an array of messages")
    if len(messages) > MOST_MESSAGES:
        raise Refusal("too.many.messages", "messages", f"must hold at most {MOST_MESSAGES} messages")
    return messages


async def _written(results: list[dict[str, Any]]) -> web.Response:
    if len(results) <= _STEP:
        return result(results)
    pieces = []
    for start in range(0, len(results), _STEP):
        pieces.append(json.dumps(results[start : start + _STEP])[1:-1])
        await asyncio.sleep(0)
    return web.Response(text=f'{{"result": [{", ".join(pieces)}]}}', content_type="application/json")


def _rejected(index: int, problems: list[tuple[str, str]]) -> dict[str, Any]:
    reasons = [
        {"key": key, "ref": f"messages[{index}].{ref}", "defaultMessage": f"Error: Invalid field value. Value: {ref}"}
        for key, ref in problems
    ]
    return {"code": "REJECTED", "messageId": None, "segmentsId": None, "reasons": reasons}


def _shortened(text: str) -> str:
    return _LINK.sub(lambda link: f"https://clickdo.integrationapi.net/{abs(hash(link.group())):x}"[:50], text)


def _task_in(options: Any) -> int | None:
    named = options.get("taskId") if isinstance(options, dict) else None
    return int(named) if isinstance(named, str) and named.isdigit() else None
