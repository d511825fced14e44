"""What the sandbox has accepted, as tests and its page read it: messages and repeats.

The routes are in control.py. What the API answers is in the files of its chapters.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any

from attrs import frozen

from .arrivals import Arrivals
from .clock import Clock
from .stages import EVENT_TIME, STATUS
from .store import Row, Store
from .tables import MAX_REJECTED
from .text import is_latin

__all__ = ["MAX_PAGE", "NotSentOnce", "Records", "Repeated", "SentMessage", "masked"]

MAX_PAGE = 1_000
# A test that reads more than this at once wants `find`, which pages.
_MAX_NOW = 10_000
_REJECTED = {"keep": MAX_REJECTED}
_COLUMNS = f"id, task, accepted, sender, recipient, text, segments, extras, {STATUS}, {EVENT_TIME}"
_SAME = """FROM message WHERE digest IN (SELECT digest FROM message GROUP BY digest HAVING count(*) > 1)
    GROUP BY digest ORDER BY min(id) LIMIT :limit"""


@frozen(kw_only=True, repr=False)
class SentMessage:
    """A message that the sandbox accepted, and its status at the moment of reading.

    - `time`, `status_time`: seconds since 1970. `alphabet`: "GSM-7" or "UCS-2".
    - `validity`, `scheduled_time`, `priority`, `callback_url`, `options`: as they were sent, or None.
    """

    message_id: str
    sender: str
    to: str
    text: str
    time: float
    segments: int
    alphabet: str
    status: str
    status_time: float
    task_id: int
    validity: int | None = None
    scheduled_time: str | None = None
    priority: str | None = None
    callback_url: str | None = None
    options: dict[str, Any] | None = None

    def __repr__(self) -> str:
        shown = f"to={masked(self.to)!r}, text=<{len(self.text)} characters>, status={self.status!r}"
        return f"SentMessage(message_id={self.message_id!r}, sender={self.sender!r}, {shown})"

    def as_json(self) -> dict[str, Any]:
        """Return the message as `/_sandbox/messages` gives it."""
        return {
            "messageId": self.message_id,
            "from": self.sender,
            "to": self.to,
            "text": self.text,
            "ts": round(self.time * 1000),
            "segments": self.segments,
            "alphabet": self.alphabet,
            "scheduledTime": self.scheduled_time,
            "priority": self.priority,
            "validity": self.validity,
            "callbackUrl": self.callback_url,
            "options": self.options,
            "taskId": self.task_id,
            "status": self.status,
            "statusTs": round(self.status_time * 1000),
        }


@frozen(kw_only=True, repr=False)
class Repeated:
    """A message that was accepted more than once: the same sender, recipient and text."""

    sender: str
    to: str
    text: str
    message_ids: tuple[str, ...]

    def __repr__(self) -> str:
        ids = ", ".join(self.message_ids[:5]) + (", ..." if len(self.message_ids) > 5 else "")
        return f"<{len(self.message_ids)} times to {masked(self.to)} from {self.sender}: {ids}>"

    def as_json(self) -> dict[str, Any]:
        """Return the message as `/_sandbox/repeated` gives it."""
        ids = [*self.message_ids]
        return {"from": self.sender, "to": self.to, "text": self.text, "times": len(ids), "messageIds": ids}


class NotSentOnce(AssertionError):
    """Messages were sent more than once. `repeated` holds the first hundred of them."""

    def __init__(self, repeated: tuple[Repeated, ...]) -> None:
        shown = "\n".join(f"  {each!r}" for each in repeated[:10])
        super().__init__(f"sent more than once (same sender, recipient and text):\n{shown}")
        self.repeated = repeated


def masked(phone: str) -> str:
    """Return a number of which only the first and the last four digits are shown."""
    return f"{phone[:4]}***{phone[-4:]}" if len(phone) > 9 else "***"


class Records:
    """Reads the accepted messages."""

    def __init__(self, store: Store, clock: Clock, stage: float, arrivals: Arrivals) -> None:
        self._store = store
        self._clock = clock
        self._stage = stage
        self._arrivals = arrivals

    async def find(
        self,
        *,
        to: str | None = None,
        text: str | None = None,
        after: int | None = None,
        before: int | None = None,
        newest_first: bool = False,
        limit: int = 100,
    ) -> list[SentMessage]:
        """Return at most `limit` messages in the order of their ids. `after` and `before` are ids, exclusive."""
        query, values = self._query(to, text, after, before)
        order = "DESC" if newest_first else "ASC"
        rows = await self._store.rows(f"{query} ORDER BY id {order} LIMIT :limit", values | {"limit": limit})
        return [_message(row) for row in rows]

    async def wait(self, timeout: float, **wanted: Any) -> list[SentMessage]:
        """Return what `find` returns, as soon as that is something. After `timeout` seconds it may be empty."""
        arrived = self._arrivals.next
        found = await self.find(**wanted)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not found:
                    await arrived.wait()
                    arrived = self._arrivals.next
                    found = await self.find(**wanted)
        return found

    async def first(self, timeout: float, *, to: str | None, text: str | None, after: int | None) -> SentMessage:
        """Return the first message that `find` returns, as soon as there is one. Raises TimeoutError."""
        __tracebackhide__ = True
        found = await self.wait(timeout, to=to, text=text, after=after, limit=1)
        if found:
            return found[0]
        wanted = [f"to {masked(to)}"] if to is not None else []
        wanted += ["with that text"] if text is not None else []
        there = await self.find(newest_first=True, limit=5)
        others = f"the newest are {', '.join(map(repr, there))}" if there else "it has accepted no message"
        raise TimeoutError(f"{' '.join(['no message', *wanted])} came to the sandbox in {timeout:g} s; {others}")

    def now(self) -> tuple[SentMessage, ...]:
        """Return all messages. The caller is blocked meanwhile."""
        query, values = self._query(None, None, None, None)
        rows = self._store.rows_now(f"{query} ORDER BY id LIMIT :limit", values | {"limit": _MAX_NOW + 1})
        if len(rows) > _MAX_NOW:
            raise RuntimeError(f"the sandbox holds more than {_MAX_NOW:,} messages: read them with find(), by pages")
        return tuple(map(_message, rows))

    async def repeated(self, limit: int) -> tuple[Repeated, ...]:
        """Return the messages that were accepted more than once, the first of them first."""
        return tuple(map(_repeated, await self._store.rows(_REPEATED, {"limit": limit})))

    def assert_nothing_sent_twice(self) -> None:
        """Raise NotSentOnce if a message was accepted more than once. The caller is blocked meanwhile."""
        __tracebackhide__ = True  # pytest shows the line of the test instead.
        found = tuple(map(_repeated, self._store.rows_now(_REPEATED, {"limit": 100})))
        if found:
            raise NotSentOnce(found)

    async def kept(self) -> int:
        """Return how many messages the store holds."""
        [(count,)] = await self._store.rows("SELECT count(*) FROM message")
        return int(count)

    async def delete(self, keep: int = 0) -> int:
        """Delete all messages, or all but the newest. Return how many there were. Statistics are kept by `keep`."""
        if not keep:
            tables = ("message", "report", "tally", "reply", "rejected", "attempt")
            return await self._store.script(*((f"DELETE FROM {table}", {}) for table in tables))  # noqa: S608
        first = "(SELECT min(id) FROM (SELECT id FROM message ORDER BY id DESC LIMIT :keep))"
        return await self._store.script(
            *(
                (f"DELETE FROM {table} WHERE {key} < {first}", {"keep": keep})  # noqa: S608
                for table, key in (("message", "id"), ("report", "id"), ("attempt", "message"))
            )
        )

    async def trim_rejected(self) -> None:
        """Delete the oldest rejected messages. They are kept for the inbox alone."""
        await self._store.script(("DELETE FROM rejected WHERE id <= (SELECT max(id) FROM rejected) - :keep", _REJECTED))

    def _query(
        self, to: str | None, text: str | None, after: int | None, before: int | None
    ) -> tuple[str, dict[str, Any]]:
        values: dict[str, Any] = {"now": self._clock.now(), "stage": self._stage}
        conditions = ["TRUE"]
        for name, condition, value in (
            ("to", "recipient = :to", None if to is None else to.strip().removeprefix("+")),
            ("text", "instr(text, :text)", text),
            ("after", "id > :after", after),
            ("before", "id < :before", before),
        ):
            if value is not None:
                conditions.append(condition)
                values[name] = value
        return f"SELECT {_COLUMNS} FROM message WHERE {' AND '.join(conditions)}", values  # noqa: S608


_REPEATED = f"SELECT sender, recipient, text, group_concat(id) {_SAME}"


def _message(row: Row) -> SentMessage:
    message_id, task, accepted, sender, recipient, text, segments, extras, status, moment = row
    given: dict[str, Any] = json.loads(extras) if extras else {}
    return SentMessage(
        message_id=str(message_id),
        sender=sender,
        to=recipient,
        text=text,
        time=accepted,
        segments=segments,
        alphabet="GSM-7" if is_latin(text) else "UCS-2",
        status=status,
        status_time=moment,
        task_id=task,
        validity=given.get("validity"),
        scheduled_time=given.get("scheduledTime"),
        priority=given.get("priority"),
        callback_url=given.get("callbackUrl"),
        options=given.get("options"),
    )


def _repeated(row: Row) -> Repeated:
    sender, recipient, text, ids = row
    ordered = sorted(ids.split(","), key=int)
    return Repeated(sender=sender, to=recipient, text=text, message_ids=tuple(ordered))
