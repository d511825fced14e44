"""POST /sms-stat/statuses/get-by-ids, and the account."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from aiohttp import web

from .bodies import json_in
from .clock import Clock
from .envelopes import Refusal, result
from .stages import EVENT_TIME, STATUS
from .store import Store

__all__ = ["PRICE", "LookingUp", "sqlite_id", "written_time"]

MOST_IDS = 500
_ID = re.compile(r"[0-9]{1,24}")
PRICE = Decimal("2.35")
_OPENING_BALANCE = Decimal("1000000.80")


def written_time(moment: float) -> str:
    """A moment as the service writes it; the sandbox keeps UTC."""
    return _written_second(int(moment))


@lru_cache(maxsize=4096)
def _written_second(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")


class LookingUp:
    """Answers what became of messages, and what is left of the money."""

    def __init__(self, store: Store, clock: Clock, stage: float, round_ids: bool) -> None:
        self._store = store
        self._clock = clock
        self._stage = stage
        self._round_ids = round_ids

    async def statuses(self, request: web.Request) -> web.Response:
        """Answer a look-up by ids; unknown ids are left out."""
        ids = _ids_in(await json_in(request))
        places = ",".join(map(str, ids)) or "NULL"
        query = f"SELECT id, {STATUS}, {EVENT_TIME} FROM message WHERE id IN ({places})"  # noqa: S608 - whole numbers
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

    async def account(self, _: web.Request) -> web.Response:
        """Answer with a balance that every accepted segment has lowered."""
        [(segments,)] = await self._store.rows("SELECT coalesce(sum(segments), 0) FROM tally")
        balance = _OPENING_BALANCE - PRICE * segments
        zeros = ("addPercent", "credit", "currencyId", "disableThreshold", "notifyThreshold")
        account: dict[str, Any] = {"accountType": "POSTPAID", "balance": float(balance), "companyId": 111}
        account |= dict.fromkeys(zeros, 0) | {"isBlocked": False, "recalcBillRate": True}
        account |= {"reserve": 0, "reserveSms": 0, "reserveViber": 0}
        return result({"account": account, "validPacketChannels": ["EMAIL"]})


def _ids_in(body: Any) -> list[int]:
    if not isinstance(body, list):
        raise Refusal("invalid", "", "the body must be an array of ids")
    if len(body) > MOST_IDS:
        raise Refusal("invalid", "", f"must hold at most {MOST_IDS} ids")
    kept = []
    for each in body:
        if isinstance(each, bool) or not isinstance(each, int | str):
            raise Refusal("invalid", "", "an id must be text or an integer")
        if (known := sqlite_id(str(each))) is not None:
            kept.append(known)
    return kept


def sqlite_id(text: str) -> int | None:
    """The id that a text is; None for what no message can have as its id."""
    return int(text) if _ID.fullmatch(text) and int(text) < 2**63 else None


def rounded(number: int) -> int:
    """The number after a float64 round trip, printed as JavaScript does."""
    return int(Decimal(repr(float(number))))
