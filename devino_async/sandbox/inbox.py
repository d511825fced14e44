"""The routes that the inbox asks: phones, and the lines of a conversation, from any place of either list.

A line is an accepted message, a rejected one, or a reply of the phone. The inbox itself is in page_files.py.
"""

import json
from typing import Any

from aiohttp import web

from .bodies import json_in
from .clock import Clock
from .envelope import Refusal, result
from .query import Parameters
from .stages import EVENT_TIME, STATUS, history
from .statuses import sqlite_id
from .store import Row, Store
from .text import is_latin

__all__ = ["Inbox"]

_MAX_PAGE = 200
# The characters of a text in a list. GET /_sandbox/inbox/message gives all of it.
_EXCERPT = 1_200
_FOUND = "instr(casefold({0}.sender), :search) OR instr(casefold({0}.text), :search)"
_REPLY_FOUND = "instr(casefold(reply.text), :search)"
_PHONES_FOUND = f"""WHERE instr(casefold(number), :search)
    OR number IN (SELECT recipient FROM message WHERE {_FOUND.format("message")}
        UNION SELECT phone FROM rejected WHERE {_FOUND.format("rejected")}
        UNION SELECT phone FROM reply WHERE {_REPLY_FOUND})"""  # noqa: S608 - constants
_MESSAGE = f"""SELECT id, accepted, starts, sender, text, segments, fate, lifetime, extras, recipient,
    {STATUS}, {EVENT_TIME}, (SELECT count(*) FROM (
        SELECT 1 FROM message AS other WHERE other.digest = message.digest LIMIT 100))
    FROM message WHERE id IN (SELECT value FROM json_each(:ids))"""  # noqa: S608 - constants
_ATTEMPTS = """SELECT message, status, moment, answer FROM attempt
    WHERE message IN (SELECT value FROM json_each(?)) ORDER BY message, rowid"""
_REJECTED = "SELECT id, moment, sender, text, reasons FROM rejected WHERE id IN (SELECT value FROM json_each(?))"
_REPLY = "SELECT id, moment, receiver, text, url, answer FROM reply WHERE id IN (SELECT value FROM json_each(?))"


class Inbox:
    """Answers the inbox."""

    def __init__(self, store: Store, clock: Clock, stage: float) -> None:
        self._store = store
        self._clock = clock
        self._stage = stage

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes of this file."""
        router.add_get("/_sandbox/inbox/phones", self.phones)
        router.add_get("/_sandbox/inbox/conversation", self.conversation)
        router.add_get("/_sandbox/inbox/message", self.message)
        router.add_post("/_sandbox/inbox/seen", self.seen)
        router.add_get("/_sandbox/callbacks", self.callbacks)

    async def phones(self, request: web.Request) -> web.Response:
        """Answer with a part of the phones, the newest first, and how many there are."""
        parameters, where, values = Parameters(request.query), "", _part(request)
        if search := (parameters.text("search") or "").strip():
            where, values["search"] = _PHONES_FOUND, search.casefold()
        query = f"""SELECT number, moment, text, entries, unread FROM phone {where}
            ORDER BY turn DESC LIMIT :limit OFFSET :offset"""  # noqa: S608 - constants
        rows = await self._store.rows(query, values)
        [(total, unread)] = await self._store.rows(
            f"SELECT count(*), coalesce(sum(unread), 0) FROM phone {where}",  # noqa: S608
            values,
        )
        names = ("phone", "ts", "text", "entries", "unread")
        phones = [dict(zip(names, (number, _ts(moment), *rest), strict=True)) for number, moment, *rest in rows]
        return result({"total": total, "unread": unread, "offset": values["offset"], "phones": phones})

    async def conversation(self, request: web.Request) -> web.Response:
        """Answer with a part of the lines of one phone, the oldest first, and how many there are."""
        parameters, values = Parameters(request.query), _part(request)
        phone = parameters.text("phone")
        if phone is None:
            raise Refusal("must.be.not.null", "phone", "must not be null")
        search = (parameters.text("search") or "").strip().casefold()
        if search in phone:
            search = ""  # The phone itself was found, so all its lines are shown.
        values |= {"phone": phone, "search": search}
        lines = _lines(search)
        [(total,)] = await self._store.rows(f"SELECT count(*) FROM ({lines})", values)  # noqa: S608
        if parameters.flag("newest"):
            values["offset"] = max(0, total - values["limit"])
        places = await self._store.rows(f"{lines} ORDER BY moment, id LIMIT :limit OFFSET :offset", values)
        shown = await self._shown([(kind, own_id) for kind, own_id, _ in places])
        now = _ts(self._clock.now())
        return result({"phone": phone, "total": total, "offset": values["offset"], "now": now, "lines": shown})

    async def message(self, request: web.Request) -> web.Response:
        """Answer with one line in full: the whole text, all statuses and all attempts of callbacks."""
        parameters = Parameters(request.query)
        kind, own_id = parameters.one_of("kind", ("message", "rejected", "reply"), required=True), _id_in(parameters)
        shown = await self._shown([(kind, own_id)], full=True)
        if not shown:
            raise Refusal("not.found", "id", "the sandbox no longer holds it", 404)
        return result({**shown[0], "now": _ts(self._clock.now())})

    async def seen(self, request: web.Request) -> web.Response:
        """Mark a phone, or all phones, as read."""
        asked = await json_in(request)
        phone = asked.get("phone") if isinstance(asked, dict) else None
        await self._store.change(
            "UPDATE phone SET unread = 0 WHERE unread > 0 AND (? IS NULL OR number = ?)", [(phone, phone)]
        )
        return result({"seen": True})

    async def callbacks(self, request: web.Request) -> web.Response:
        """Answer with each status callback of some messages, and its attempts."""
        ids = [sqlite_id(each) for each in Parameters(request.query).listed("message") or ()]
        if len(ids) > _MAX_PAGE or None in ids:
            raise Refusal("invalid", "message", f"must be at most {_MAX_PAGE} ids")
        attempts = await self._attempts([each for each in ids if each is not None])
        found = [{"messageId": str(own_id), **event} for own_id, events in attempts.items() for event in events]
        return result({"callbacks": found})

    async def _shown(self, places: list[Row], *, full: bool = False) -> list[dict[str, Any]]:
        """Return the lines at these places, in their order."""
        ids: dict[str, list[int]] = {"message": [], "rejected": [], "reply": []}
        for kind, own_id in places:
            ids[kind].append(own_id)
        lines: dict[Row, dict[str, Any]] = {}
        if ids["message"]:
            values = {"ids": json.dumps(ids["message"]), "now": self._clock.now(), "stage": self._stage}
            attempts = await self._attempts(ids["message"])
            for row in await self._store.rows(_MESSAGE, values):
                lines["message", row[0]] = self._message(row, attempts.get(row[0], []), full)
        if ids["rejected"]:
            for own_id, moment, sender, text, reasons in await self._store.rows(
                _REJECTED, [json.dumps(ids["rejected"])]
            ):
                line = {"kind": "rejected", "id": str(own_id), "ts": _ts(moment), "from": sender}
                lines["rejected", own_id] = line | _text(text, full) | {"reasons": json.loads(reasons)}
        if ids["reply"]:
            for own_id, moment, receiver, text, url, answer in await self._store.rows(
                _REPLY, [json.dumps(ids["reply"])]
            ):
                line = {"kind": "reply", "id": str(own_id), "ts": _ts(moment), "to": receiver, "url": url}
                lines["reply", own_id] = line | _text(text, full) | {"answer": answer}
        return [lines[place] for place in places if place in lines]

    def _message(self, row: Row, callbacks: list[dict[str, Any]], full: bool) -> dict[str, Any]:
        own_id, accepted, starts, sender, text, segments, fate, lifetime, extras, to, status, moment, times = row
        steps, now = history(accepted, starts, fate, lifetime, self._stage), self._clock.now()
        given = json.loads(extras) if extras else {}
        line = {"kind": "message", "id": str(own_id), "ts": _ts(accepted), "from": sender, "to": to, "times": times}
        line |= _text(text, full) | {"segments": segments, "alphabet": "GSM-7" if is_latin(text) else "UCS-2"}
        line |= {name: given.get(name) for name in ("scheduledTime", "priority", "callbackUrl")}
        line |= {"status": status, "statusTs": _ts(moment), "callbacks": callbacks}
        line["nextTs"] = next((_ts(moment) for moment, _ in steps if moment > now), None)
        if full:
            line |= {"validity": given.get("validity"), "options": given.get("options")}
            line["history"] = [{"ts": _ts(moment), "status": step} for moment, step in steps if moment <= now]
        return line

    async def _attempts(self, ids: list[int]) -> dict[int, list[dict[str, Any]]]:
        """Return the callbacks of messages by id. Each has its attempts in order."""
        found: dict[int, dict[str, dict[str, Any]]] = {}
        for own_id, status, moment, answer in await self._store.rows(_ATTEMPTS, [json.dumps(ids)]):
            events = found.setdefault(own_id, {})
            event = events.setdefault(status, {"status": status, "ts": _ts(moment), "attempts": []})
            code = int(answer) if answer.isdigit() else None
            event["attempts"].append({"ts": _ts(moment), "answer": code, "problem": None if code else answer})
        return {own_id: [*events.values()] for own_id, events in found.items()}


def _lines(search: str) -> str:
    """Return the query for the places of a phone's lines. The indexes alone answer it if nothing is searched."""
    tables = (("message", "recipient", "accepted"), ("rejected", "phone", "moment"), ("reply", "phone", "moment"))
    parts = []
    for table, phone, moment in tables:
        found = _REPLY_FOUND if table == "reply" else _FOUND.format(table)
        only = f"AND ({found})" if search else ""
        parts.append(f"SELECT '{table}' AS kind, id, {moment} AS moment FROM {table} WHERE {phone} = :phone {only}")  # noqa: S608
    return " UNION ALL ".join(parts)


def _part(request: web.Request) -> dict[str, Any]:
    parameters = Parameters(request.query)
    limit, offset = parameters.whole("limit", minimum=1) or 50, parameters.whole("offset", minimum=0) or 0
    return {"limit": min(limit, _MAX_PAGE), "offset": offset}


def _id_in(parameters: Parameters) -> int:
    own_id = sqlite_id(parameters.text("id") or "")
    if own_id is None:
        raise Refusal("invalid", "id", "must be an id")
    return own_id


def _text(text: str, full: bool) -> dict[str, Any]:
    return {"text": text if full else text[:_EXCERPT], "length": len(text)}


def _ts(moment: float) -> int:
    return round(moment * 1000)
