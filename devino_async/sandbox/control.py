"""The routes under `/_sandbox`, for tests in any language and for the inbox page. They need no credentials.

| route | what it does |
|---|---|
| `GET messages?to=&text=&wait=&after=&before=&order=&limit=` | messages, the oldest first. `text` is a part of the text, `after` and `before` are ids, `wait` is for how many seconds to wait until one matches |
| `DELETE messages?keep=` | forgets all messages and replies, or all messages but the newest |
| `GET counts` | accepted, rejected and repeated messages |
| `GET repeated?limit=` | messages that were accepted more than once |
| `GET`, `POST`, `DELETE faults` | reads, sets or switches off faults (troubles.py) |
| `GET`, `POST replies` | reads replies, or makes one: `{"from": ..., "text": ..., "to": ..., "url": ...}` |
| `GET recipients` | the magic recipients |
| `GET callbacks?message=ID,ID` | the status callbacks of messages, each with its attempts and answers (inbox.py) |
| `POST keep` | keeps the newest messages only: `{"messages": 1000}`, or null for all (keeping.py) |
| `GET events` | server-sent events: that something changed, and the counts (live.py) |

Answers are in the envelope of the API, `{"result": ...}`. Ids are strings, and times are milliseconds since 1970.
"""  # noqa: E501

from typing import Any

from aiohttp import web

from .bodies import json_in
from .envelope import Refusal, result
from .query import Parameters
from .recipients import MAGIC_RECIPIENTS
from .records import MAX_PAGE, Records
from .replies import Replies
from .sending import Sending
from .statuses import sqlite_id
from .troubles import Faults

__all__ = ["Control"]

_MAX_WAIT = 60.0


class Control:
    """Answers the sandbox's own routes."""

    def __init__(self, records: Records, sending: Sending, replies: Replies, faults: Faults) -> None:
        self._records = records
        self._sending = sending
        self._replies = replies
        self._faults = faults

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Add the routes."""
        router.add_get("/_sandbox/messages", self._messages)
        router.add_delete("/_sandbox/messages", self._delete)
        router.add_get("/_sandbox/counts", self._counts)
        router.add_get("/_sandbox/repeated", self._repeated)
        router.add_get("/_sandbox/faults", self._faults_now)
        router.add_post("/_sandbox/faults", self._set_faults)
        router.add_delete("/_sandbox/faults", self._clear_faults)
        router.add_get("/_sandbox/replies", self._replies_of)
        router.add_post("/_sandbox/replies", self._reply)
        router.add_get("/_sandbox/recipients", self._recipients)

    async def clear(self) -> int:
        """Forget all messages, replies and counts. Return how many messages there were."""
        deleted = await self._records.delete()
        self._sending.counts.clear()
        return deleted

    async def _messages(self, request: web.Request) -> web.Response:
        parameters, limit = _parameters(request)
        wanted: dict[str, Any] = {
            "to": parameters.text("to") or None,
            "text": parameters.text("text") or None,
            "after": _id(parameters, "after"),
            "before": _id(parameters, "before"),
            "newest_first": parameters.one_of("order", ("ASC", "DESC")) == "DESC",
            "limit": limit + 1,
        }
        found = await self._records.wait(_wait(parameters), **wanted)
        return result({"messages": [each.as_json() for each in found[:limit]], "more": len(found) > limit})

    async def _delete(self, request: web.Request) -> web.Response:
        keep = Parameters(request.query).whole("keep", minimum=1)
        return result({"deleted": await self.clear() if keep is None else await self._records.delete(keep)})

    async def _counts(self, _: web.Request) -> web.Response:
        return result(await self.counts())

    async def counts(self) -> dict[str, int]:
        """Return the counts since the start or the last clear, and how many messages are kept."""
        counted = {name: self._sending.counts[name] for name in ("accepted", "rejected", "repeated")}
        return counted | {"kept": await self._records.kept(), "skippedCallbacks": self._sending.skipped}

    async def _repeated(self, request: web.Request) -> web.Response:
        _, limit = _parameters(request)
        found = await self._records.repeated(limit + 1)
        return result({"repeated": [each.as_json() for each in found[:limit]], "more": len(found) > limit})

    async def _faults_now(self, _: web.Request) -> web.Response:
        return result(self._faults.as_json())

    async def _set_faults(self, request: web.Request) -> web.Response:
        self._faults.set_from(await json_in(request))
        return result(self._faults.as_json())

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return result(self._faults.as_json())

    async def _replies_of(self, request: web.Request) -> web.Response:
        parameters, limit = _parameters(request)
        found = await self._replies.of(parameters.text("from") or None, _id(parameters, "before"), limit + 1)
        return result({"replies": [each.as_json() for each in found[:limit]], "more": len(found) > limit})

    async def _reply(self, request: web.Request) -> web.Response:
        asked = await json_in(request)
        if not isinstance(asked, dict):
            raise Refusal("invalid", "", "the body must be an object")
        made = await self._replies.send(asked.get("from"), asked.get("text"), asked.get("to"), asked.get("url"))
        return result(made.as_json())

    async def _recipients(self, _: web.Request) -> web.Response:
        return result({"recipients": [{"ending": each.ending, "means": each.means} for each in MAGIC_RECIPIENTS]})


def _parameters(request: web.Request) -> tuple[Parameters, int]:
    parameters = Parameters(request.query)
    limit = parameters.whole("limit", minimum=1)
    if limit is not None and limit > MAX_PAGE:
        raise Refusal("invalid", "limit", f"must be at most {MAX_PAGE}")
    return parameters, limit or 100


def _id(parameters: Parameters, name: str) -> int | None:
    text = parameters.text(name)
    if text is None:
        return None
    number = sqlite_id(text)
    if number is None:
        raise Refusal("invalid", name, "must be an id")
    return number


def _wait(parameters: Parameters) -> float:
    try:
        seconds = float(parameters.text("wait") or 0)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _MAX_WAIT:
        raise Refusal("invalid", "wait", f"must be a number of seconds from 0 to {_MAX_WAIT:.0f}")
    return seconds
