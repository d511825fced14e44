"""An account of a pretend service for tests of reconciling: it loses answers and has a clock of its own."""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from attrs import define, field, frozen

LINK = "https://shop.example/a?b=1"
SHORT = "https://clck.example/x1"


@frozen
class Stored:
    """A message as the account has it. Times are in seconds since 1970, UTC.

    `origin` is the option `origin` that it came with, which details do not show.
    """

    message_id: str
    recipient: str
    sender: str
    text: str
    accepted_at: float
    sent_at: float
    origin: str = ""


@define
class Account:
    """What the service knows. It is asked as `Service.answering`.

    `hours` is how far its clock is ahead of UTC. `lost` are the numbers of the sends whose answers are lost, `dropped`
    those that never arrive either, and `halved` those in whose answers every other result cannot be read. Recipients
    that are `rejected` get nothing. `hidden` are ids that details do not show yet. `before_page` is called before each
    page. Look-ups fail while `fails`. `delay` is how long after its arrival a message is
    accepted. If `filters_by_sent`, dates of a query mean the time of sending, where there was one.
    """

    hours: float = 0.0
    lost: set[int] = field(factory=set)
    dropped: set[int] = field(factory=set)
    halved: set[int] = field(factory=set)
    rejected: set[str] = field(factory=set)
    hidden: set[str] = field(factory=set)
    clock: Callable[[], float] = time.time
    rounded: float = 0.0
    delay: float = 0.0
    fails: bool = False
    filters_by_sent: bool = False
    hold: Callable[[], Awaitable[object]] | None = None
    before_page: Callable[[], object] = lambda: None
    stored: list[Stored] = field(factory=list)
    sends: int = 0
    pages: int = 0
    queries: list[dict[str, str]] = field(factory=list)
    # The origins of the messages of each POST that arrived.
    posts: list[list[str]] = field(factory=list)

    async def __call__(self, request: web.Request, body: Any) -> web.StreamResponse:
        if request.path == "/sms-stat/detail":
            page = self._page(request)
            return web.Response(status=502) if self.fails else web.json_response({"result": page})
        if "messages" not in (body or {}):
            return web.json_response({"result": []})
        number, self.sends = self.sends, self.sends + 1
        results: list[dict[str, Any]] = []
        if number not in self.dropped:
            short = request.query.get("shortenUrl") == "true"
            results = [self._accept(each, short) for each in body["messages"]]
            self.posts.append([(each.get("options") or {}).get("origin", "") for each in body["messages"]])
        if self.hold is not None:
            await self.hold()
        if number in self.lost | self.dropped:
            assert request.transport is not None
            request.transport.close()
            return web.Response()
        if number in self.halved:
            results = [each if place % 2 else {} for place, each in enumerate(results)]
        return web.json_response({"result": results})

    def _accept(self, message: Any, short: bool) -> dict[str, Any]:
        if message["to"] in self.rejected:
            return {"code": "REJECTED", "messageId": None, "reasons": [{"key": "balance.not.enough", "ref": "to"}]}
        text = message["text"].replace(LINK, SHORT) if short else message["text"]
        at = message.get("scheduledTime")
        more: dict[str, Any] = {
            "sender": message["from"],
            "scheduled": None if at is None else datetime.fromisoformat(at).timestamp(),
            "origin": (message.get("options") or {}).get("origin", ""),
            "ago": -self.delay,
        }
        return {"code": "OK", "messageId": self.add(message["to"], text, **more)}

    def add(
        self,
        to: str,
        text: str,
        *,
        ago: float = 0.0,
        sender: str = "MyCompany",
        scheduled: float | None = None,
        origin: str = "",
    ) -> str:
        """Store a message that was accepted some seconds ago, from whatever program, and return its id."""
        now = self.clock() - ago
        message_id = str(5_000_000_000 + len(self.stored))
        sent_at = now if scheduled is None else max(now, scheduled)
        self.stored.append(Stored(message_id, to, sender, text, now, sent_at, origin))
        return message_id

    def ids_of(self, recipients: Sequence[str]) -> list[str]:
        """The id of the newest message of each recipient."""
        newest = {each.recipient: each.message_id for each in self.stored}
        return [newest[each] for each in recipients]

    def _page(self, request: web.Request) -> Any:
        self.pages += 1
        self.before_page()
        query = request.query
        self.queries.append(dict(query))
        assert (query["order"], query["orderField"]) == ("ASC", "MESSAGE_ID"), "pages need a complete order"
        rows = sorted(
            (each for each in self.stored if self._matches(each, query)), key=lambda each: int(each.message_id)
        )
        offset, limit = int(query["offset"]), int(query["limit"])
        page = {"data": [self._row(each) for each in rows[offset : offset + limit]], "more": len(rows) > offset + limit}
        if query.get("calculateTotalCount") == "true":
            page["total"] = len(rows)
        return page

    def _matches(self, each: Stored, query: Any) -> bool:
        if each.message_id in self.hidden:
            return False
        if "messageIds" in query:
            return each.message_id in query.getall("messageIds")
        at = each.sent_at if self.filters_by_sent and each.sent_at <= self.clock() else each.accepted_at
        within = query["dateTimeFrom"] <= self._date(at) <= query["dateTimeTo"]
        return within and query.get("recipient") in {None, each.recipient}

    def _row(self, each: Stored) -> dict[str, Any]:
        was_sent = each.sent_at <= self.clock()
        return {
            "messageId": each.message_id,
            "recipient": each.recipient,
            "sourceAddress": each.sender,
            "text": each.text,
            "sentDateTime": self._date(each.sent_at) if was_sent else None,
            "eventDateTime": self._date(each.accepted_at),
            "status": "DELIVERED" if was_sent else "IN_PROGRESS",
        }

    def _date(self, at: float) -> str:
        return datetime.fromtimestamp(int(at + self.rounded + self.hours * 3_600), UTC).strftime("%Y-%m-%d %H:%M:%S")
