"""POST /sms-stat/statuses/get-by-ids: what became of up to 500 messages.

The rule for a status is in stages.py.
"""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from aiohttp import web

from .bodies import json_in
from .clock import Clock
from .envelope import Refusal, result
from .stages import EVENT_TIME, STATUS
from .store import Store

__all__ = ["Statuses", "sqlite_id", "written_time"]

MAX_IDS = 500
_ID = re.compile(r"[0-9]{1,24}")


def written_time(moment: float) -> str:
    """Return a moment as the service writes it. The sandbox's time zone is UTC."""
    return _written_second(int(moment))


@lru_cache(maxsize=4096)
def _written_second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")


class Statuses:
    """Answers look-ups of statuses."""

    def __init__(self, store: Store, clock: Clock, stage: float, round_ids: bool) -> None:
        self._store = store
        self._clock = clock
        self._stage = stage
        self._round_ids = round_ids

    async def post(self, request: web.Request) -> web.Response:
        """Answer a look-up by ids. Unknown ids are left out."""
        ids = _ids_in(await json_in(request))
        listed = ",".join(map(str, ids)) or "NULL"
        query = f"SELECT id, {STATUS}, {EVENT_TIME} FROM message WHERE id IN ({listed})"  # noqa: S608 - whole numbers
        rows = await self._store.rows(query, {"now": self._clock.now(), "stage": self._stage})
        known = [
            {
                "smsId": rounded(found) if self._round_ids else found,
                "status": status,
                "statusDateTime": written_time(moment),
            }
            for found, status, moment in rows
        ]
        return result(known)


def _ids_in(body: Any) -> list[int]:
    if not isinstance(body, list):
        raise Refusal("invalid", "", "the body must be an array of ids")
    if len(body) > MAX_IDS:
        raise Refusal("invalid", "", f"must hold at most {MAX_IDS} ids")
    ids = []
    for each in body:
        if isinstance(each, bool) or not isinstance(each, int | str):
            raise Refusal("invalid", "", "an id must be a string or an integer")
        if (possible := sqlite_id(str(each))) is not None:
            ids.append(possible)
    return ids


def sqlite_id(text: str) -> int | None:
    """Return the id that a text holds, or None if it is not a number that sqlite can hold."""
    return int(text) if _ID.fullmatch(text) and int(text) < 2**63 else None


def rounded(number: int) -> int:
    """Return a number after a float64 round trip, as JavaScript prints it."""
    return int(Decimal(repr(float(number))))
