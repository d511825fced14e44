"""POST /sms/messages: each message is checked, and accepted or rejected on its own.

A POST is stored all or nothing, once its whole body has been read. The checks of a message are in message.py.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b, blake2s
from itertools import count
from typing import Any

from aiohttp import web
from attrs import define, field

from .arrivals import Arrivals
from .bodies import slices_of
from .clock import Clock
from .loopback import is_loopback
from .message import OPTIONAL, problems_of, scheduled_at
from .query import MAX_WHOLE, Parameters, whole_in
from .recipients import ANSWER_LOST, NEVER_REPORTED, SLOW, SLOW_SECONDS
from .refused_messages import told_of
from .stages import fate_of
from .store import Row, Store
from .text import segment_count
from .troubles import lose_answer

__all__ = ["Sending"]

# Messages checked between two turns of the event loop: about a millisecond of work.
_STEP = 125
_SPECIAL = (SLOW, ANSWER_LOST)
_LINK = re.compile(r"https?://\S+")
# Above 2^53, as the service's ids are, so a client that reads them as floats fails here too.
_FIRST_ID = 3_701_172_084_729_885_952


@define
class _Post:
    """One POST: its options, and the results and rows gathered so far."""

    task: int
    now: float
    with_segments: bool
    shorten: bool
    results: list[str] = field(factory=list)
    messages: list[Any] = field(factory=list)
    reports: list[Any] = field(factory=list)
    rejected: list[Any] = field(factory=list)
    digests: list[int] = field(factory=list)
    # The endings of magic recipients that change the answer to the whole POST.
    special: set[str] = field(factory=set)
    tally: dict[Row, list[int]] = field(factory=dict)

    def tally_cells(self) -> list[Any]:
        """Return the counts of the POST by kind, as the flat sequence of cells that `Store.add` takes."""
        return [cell for kind, sums in self.tally.items() for cell in (*kind, *sums)]


class Sending:
    """Accepts messages. Ids rise by one for each segment, so each segment has its own id."""

    def __init__(self, store: Store, clock: Clock, arrivals: Arrivals) -> None:
        self._store = store
        self._clock = clock
        self._arrivals = arrivals
        self._next_id = _FIRST_ID
        self._tasks = count(1)
        self.skipped = 0
        # Since the start or the last `DELETE /_sandbox/messages`: "accepted", "rejected" and "repeated".
        self.counts: Counter[str] = Counter()

    async def resume(self) -> None:
        """Continue after the highest id of a database that existed before."""
        [(last_id, last_task)] = await self._store.rows("SELECT max(id + segments), max(task) FROM message")
        self._next_id = max(self._next_id, last_id or 0)
        self._tasks = count((last_task or 0) + 1)
        [(accepted, distinct)] = await self._store.rows("SELECT count(*), count(DISTINCT digest) FROM message")
        self.counts.update(accepted=accepted, repeated=accepted - distinct)

    async def post(self, request: web.Request) -> web.Response:
        """Answer a POST of messages."""
        parameters = Parameters(request.query)
        with_segments, shorten = parameters.flag("includeSegmentId"), parameters.flag("shortenUrl")
        body = await request.read()
        post = _Post(next(self._tasks), self._clock.now(), with_segments, shorten)
        for index, message in enumerate(_flattened(slices_of(body))):
            self._add(post, index, message)
            if index % _STEP == _STEP - 1:
                await asyncio.sleep(0)
        repeated = await self._store.add(
            post.digests, message=post.messages, tally=post.tally_cells(), report=post.reports, rejected=post.rejected
        )
        self._tell(post, repeated)
        if SLOW in post.special:
            await self._clock.sleep(SLOW_SECONDS)
        if ANSWER_LOST in post.special:
            return lose_answer(request)
        return web.Response(text=f'{{"result": [{", ".join(post.results)}]}}', content_type="application/json")

    def _tell(self, post: _Post, repeated: int) -> None:
        """Count what one POST came to, and wake up what waits for messages."""
        accepted = len(post.digests)
        self.counts["accepted"] += accepted
        self.counts["rejected"] += len(post.results) - accepted
        self.counts["repeated"] += repeated
        self._arrivals.notify()

    def _add(self, post: _Post, index: int, message: Any) -> None:
        problems = problems_of(message, post.now)
        if problems:
            post.results.append(_rejected(index, problems))
            post.rejected.extend((post.now, *told_of(message, problems)))
            return
        text = _shortened(message["text"]) if post.shorten else message["text"]
        parts, own_id = segment_count(text), self._next_id
        self._next_id += parts
        kind = _kind(post, message, text is not message["text"])
        task, now, starts, fate, lifetime = kind
        traffic = "TRANSACTIONAL" if message.get("priority") == "REALTIME" else "ADVERTISING"
        known = (own_id, task, now, starts, message["from"], message["to"], text, parts, traffic, fate, lifetime)
        digest = _digest(message)
        post.messages.extend((*known, _extras(message), digest))
        post.digests.append(digest)
        _add_up(post.tally, kind, own_id, parts)
        if message["to"].endswith(_SPECIAL):
            post.special.add(message["to"][-7:])
        if message.get("callbackUrl") and not message["to"].endswith(NEVER_REPORTED):
            self._report(post, own_id, message)
        post.results.append(_accepted(own_id, parts if post.with_segments else 0))

    def _report(self, post: _Post, own_id: int, message: dict[str, Any]) -> None:
        if not is_loopback(message["callbackUrl"]):
            self.skipped += 1
            return
        options = message.get("options")
        post.reports.extend(
            (own_id, message["callbackUrl"], None if options is None else json.dumps(options), post.now)
        )


def _flattened(slices: Iterator[list[Any]]) -> Iterator[Any]:
    for each in slices:
        yield from each


def _kind(post: _Post, message: dict[str, Any], shortened: bool) -> Row:
    """Return task, time of acceptance, start, fate and lifetime. Counts and statuses depend on these alone."""
    if len(message) == 3:
        return post.task, post.now, post.now, fate_of(message["to"], shortened), 0
    planned = message.get("scheduledTime")
    starts = post.now if planned is None else scheduled_at(planned, post.now)
    fate = fate_of(message["to"], shortened)
    lifetime = message.get("validity") or 0 if fate == "EXPIRED" else 0
    return _task_in(message.get("options")) or post.task, post.now, starts, fate, lifetime


def _extras(message: dict[str, Any]) -> str | None:
    """Return the optional members of a message as JSON, or None if it has none."""
    if len(message) <= 3:
        return None
    given = {name: message[name] for name in OPTIONAL if message.get(name) is not None}
    return json.dumps(given) if given else None


def _digest(message: dict[str, Any]) -> int:
    """Return a number that is the same for messages of the same sender, recipient and text."""
    content = f"{message['from']}\0{message['to']}\0{message['text']}"
    return int.from_bytes(blake2b(content.encode(), digest_size=8).digest(), "big", signed=True)


def _add_up(tally: dict[Row, list[int]], kind: Row, own_id: int, parts: int) -> None:
    sums = tally.get(kind)
    if sums is None:
        tally[kind] = [1, parts, own_id, own_id]
    else:
        sums[0] += 1
        sums[1] += parts
        sums[3] = own_id


def _accepted(own_id: int, parts: int) -> str:
    """Return an item of the answer. It is written by hand, because nothing in it must be escaped for JSON."""
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
    """Return the text with its links replaced, or the same object if it has none."""
    return _LINK.sub(_short_link, text) if "http" in text else text


def _short_link(link: re.Match[str]) -> str:
    return f"https://clickdo.integrationapi.net/{blake2s(link.group().encode(), digest_size=5).hexdigest()}"


def _task_in(options: Any) -> int | None:
    if not options:
        return None
    task = whole_in(str(options.get("taskId", "")))
    return task if task is not None and 0 < task <= MAX_WHOLE else None
