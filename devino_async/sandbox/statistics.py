"""GET /sms-stat/statistics/of-group: messages and segments, by status and period."""

from datetime import UTC
from typing import Any

from aiohttp import web

from .clock import Clock
from .envelope import Refusal, result
from .query import Parameters
from .stages import STATUS
from .store import Store

__all__ = ["Statistics"]

# SQL for the start of a period, for each documented group. A week begins on Monday.
_PERIODS = {
    "NONE": ":start",
    "YEAR": "strftime('%Y-01-01 00:00:00', local, 'unixepoch')",
    "MONTH": "strftime('%Y-%m-01 00:00:00', local, 'unixepoch')",
    "WEEK": "strftime('%Y-%m-%d 00:00:00', local, 'unixepoch', 'weekday 0', '-6 days')",
    "DAY": "strftime('%Y-%m-%d 00:00:00', local, 'unixepoch')",
    "HOUR": "strftime('%Y-%m-%d %H:00:00', local, 'unixepoch')",
}
_KEYS = {
    "ACCEPTED": "accepted",
    "SCHEDULED": "scheduled",
    "ENROUTE": "enrouted",
    "SENT": "sent",
    "DELETED": "deleted",
    "DELIVERED": "delivered",
    "EXPIRED": "expired",
    "SEEN": "seen",
    "CLICKED": "clicked",
    "REJECTED": "rejected",
    "UNDELIVERABLE": "undeliverable",
    "UNKNOWN": "unknown",
}


class Statistics:
    """Counts messages and segments."""

    def __init__(self, store: Store, clock: Clock, stage: float) -> None:
        self._store = store
        self._clock = clock
        self._stage = stage

    async def get(self, request: web.Request) -> web.Response:
        """Answer one query."""
        parameters = Parameters(request.query)
        group = parameters.one_of("groupBy", _PERIODS, required=True)
        start, end = parameters.moment("startDate", required=True), parameters.moment("endDate", required=True)
        if start is None or end is None or group is None or end < start:
            raise Refusal("invalid", "endDate", "must not be before startDate")
        values: dict[str, Any] = {
            "now": self._clock.now(),
            "stage": self._stage,
            "shift": parameters.offset_minutes("timeOffset") * 60,
            "start": start.strftime("%Y-%m-%d %H:%M:%S"),
            "from": start.replace(tzinfo=UTC).timestamp(),
            "before": end.replace(tzinfo=UTC).timestamp() + 1,
        }
        only = ""
        for name in ("taskId", "triggerId"):
            if (number := parameters.whole(name)) is not None:
                only += f" AND task = :{name}"
                values[name] = number
        query = f"""
            SELECT {STATUS} AS status, {_PERIODS[group]} AS period, sum(messages), sum(segments)
            FROM (SELECT *, accepted + :shift AS local FROM tally)
            WHERE local >= :from AND local < :before {only} GROUP BY 1, 2"""  # noqa: S608
        rows = await self._store.rows(query, values)
        messages: dict[str, list[dict[str, Any]]] = {key: [] for key in _KEYS.values()}
        segments: dict[str, list[dict[str, Any]]] = {key: [] for key in _KEYS.values()}
        for status, period, count, parts in rows:
            messages[_KEYS[status]].append({"date": period, "amount": count})
            segments[_KEYS[status]].append({"date": period, "amount": parts})
        return result({"messages": messages, "segments": segments})
