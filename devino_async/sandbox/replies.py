"""Replies: incoming messages that the sandbox POSTs to a receiver, as when a person answers an SMS."""

import asyncio
from typing import Any

from attrs import frozen

from .callbacks import Callbacks
from .clock import Clock
from .envelope import Refusal
from .loopback import is_loopback
from .records import masked
from .store import Row, Store

__all__ = ["Replies", "Reply", "incoming"]

_FIRST_ID = 3_777_714_415_805_253_122
_COLUMNS = "id, moment, phone, receiver, text, url, answer"
# The last callbackUrl and sender of the messages to a phone.
_LAST = "SELECT sender, url FROM message LEFT JOIN report USING (id) WHERE recipient = ? ORDER BY url IS NULL, id DESC"


@frozen(kw_only=True, repr=False)
class Reply:
    """An incoming message and what its receiver answered. `status` is None if there was no answer."""

    incoming_message_id: str
    sender: str
    to: str
    text: str
    time: float
    url: str
    status: int | None

    @property
    def reached(self) -> bool:
        """Whether the receiver answered 200."""
        return self.status == 200

    def __repr__(self) -> str:
        return f"Reply(sender={masked(self.sender)!r}, text=<{len(self.text)} characters>, status={self.status})"

    def as_json(self) -> dict[str, Any]:
        """Return the reply as `/_sandbox/replies` gives it."""
        return {
            "incomingMessageId": self.incoming_message_id,
            "from": self.sender,
            "to": self.to,
            "text": self.text,
            "ts": round(self.time * 1000),
            "url": self.url,
            "status": self.status,
            "reached": self.reached,
        }


class Replies:
    """Makes and remembers replies. `url` is where they go if neither the caller nor a message names an address."""

    def __init__(self, store: Store, clock: Clock, callbacks: Callbacks, url: str | None) -> None:
        self._store = store
        self._clock = clock
        self._callbacks = callbacks
        self._url = url
        self._numbering = asyncio.Lock()

    async def send(self, phone: Any, text: Any, to: Any = None, url: Any = None) -> Reply:
        """POST a reply of this phone. Raises Refusal if a value is unusable, or if no address is known."""
        for name, value in (("from", phone), ("text", text)):
            if not isinstance(value, str) or not value.strip():
                raise Refusal("invalid", name, "must be a string that is not empty")
        for name, value in (("to", to), ("url", url)):
            if not isinstance(value, str | None):
                raise Refusal("invalid", name, "must be a string")
        phone = phone.strip().removeprefix("+")
        rows = await self._store.rows(f"{_LAST} LIMIT 1", (phone,))
        sender, last_url = rows[0] if rows else (None, None)
        url = url or last_url or self._url
        if url is None:
            raise Refusal(
                "must.be.not.null",
                "url",
                "must be given: no message to this phone had a callbackUrl on this machine, and Sandbox(incoming_url=) "
                "is not set",
            )
        if not is_loopback(url):
            raise Refusal("invalid", "url", "must be an http or https URL of a loopback address")
        return await self._send(phone, text, to or sender or "MyCompany", url)

    async def _send(self, phone: str, text: str, to: str, url: str) -> Reply:
        now = self._clock.now()
        async with self._numbering:  # Two replies at once must not take the same id.
            [(new_id,)] = await self._store.rows("SELECT coalesce(max(id) + 1, ?) FROM reply", (_FIRST_ID,))
            values = {"id": new_id, "now": now, "phone": phone, "to": to, "text": text, "url": url}
            await self._store.script(("INSERT INTO reply VALUES (:id, :now, :phone, :to, :text, :url, NULL)", values))
        body = incoming(now) | {"incomingMessageId": str(new_id), "from": phone, "to": to, "text": text}
        answer = await self._callbacks.ask(url, body)
        await self._store.script(("UPDATE reply SET answer = :answer WHERE id = :id", {"answer": answer, "id": new_id}))
        return _reply((new_id, now, phone, to, text, url, answer))

    async def of(self, phone: str | None, before: int | None, limit: int) -> list[Reply]:
        """Return the newest replies, of one phone or of all, the newest first."""
        where = "(:phone IS NULL OR phone = :phone) AND (:before IS NULL OR id < :before)"
        query = f"SELECT {_COLUMNS} FROM reply WHERE {where} ORDER BY id DESC LIMIT :limit"  # noqa: S608
        values = {"phone": phone, "before": before, "limit": limit}
        return [_reply(row) for row in await self._store.rows(query, values)]


def incoming(now: float) -> dict[str, str]:
    """Return an incoming message like the example in the API docs."""
    return {
        "incomingMessageId": "3777714415805253122",
        "to": "MyCompany",
        "from": "79000000001",
        "text": "Incoming Message",
        "transactionId": "a7d76677f699",
        "prefix": "2135",
        "operator": "MTS",
        "countryName": "ru",
        "ts": str(round(now * 1000)),
    }


def _reply(row: Row) -> Reply:
    reply_id, moment, phone, receiver, text, url, answer = row
    return Reply(
        incoming_message_id=str(reply_id), sender=phone, to=receiver, text=text, time=moment, url=url, status=answer
    )
