"""GET /sms-stat/detail: all documented parameters, their five combinations, the columns and the quirky page numbers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from .account import PRICE
from .clock import Clock
from .envelope import Refusal
from .query import Parameters
from .stages import EVENT_TIME, STATUS
from .statuses import sqlite_id, written_time
from .store import Row, Store

__all__ = ["COLUMNS", "Details"]

DETAIL_STATUS = """CASE status WHEN 'DELIVERED' THEN 'DELIVERED' WHEN 'CLICKED' THEN 'REDIRECT'
    WHEN 'REJECTED' THEN 'REJECTED' WHEN 'UNDELIVERABLE' THEN 'UNDELIVERED' WHEN 'EXPIRED' THEN 'UNDELIVERED'
    WHEN 'UNKNOWN' THEN 'UNDELIVERED' ELSE 'IN_PROGRESS' END"""
ERROR_CODE = "CASE status WHEN 'REJECTED' THEN 2005 WHEN 'UNDELIVERABLE' THEN 2001 WHEN 'EXPIRED' THEN 2002 ELSE 0 END"
_SENT_TIME = "CASE WHEN status IN ('SCHEDULED', 'ACCEPTED', 'ENROUTE') THEN NULL ELSE starts + 2 * :stage END"

# Column -> its name on the wire and its SQL, which is a constant where the sandbox stores nothing.
COLUMNS: dict[str, tuple[str, str]] = {
    "COMPANY_ID": ("companyId", "111"),
    "COMPANY_NAME": ("companyName", "'MyCompany'"),
    "CONTACT_ID": ("contactId", "NULL"),
    "COUNTRY_ID": ("countryId", "12"),
    "COUNTRY_NAME": ("countryName", "'Russia'"),
    "ERROR_CODE": ("errorCode", ERROR_CODE),
    "EVENT_DATE_TIME": ("eventDateTime", "event"),
    "MESSAGE_ID": ("messageId", "id"),
    "MOG_ID": ("mogId", "0"),
    "MOG_NAME": ("mogName", "'MOG'"),
    "MO_ID": ("moId", "234"),
    "MO_NAME": ("moName", "'Sandbox Mobile'"),
    "PRICE": ("price", "NULL"),
    "PROVIDER_MESSAGE_ID": ("providerMessageId", "'sandbox-' || id"),
    "RECIPIENT": ("recipient", "recipient"),
    "RECIPIENT_ZONE_NAME": ("recipientZoneName", "'UTC +03:00'"),
    "ROUTE": ("route", "'SMSGW101'"),
    "SEGMENT_COUNT": ("segmentCount", "segments"),
    "SEGMENT_ID": ("segmentId", "segment"),
    "SENT_DATE_TIME": ("sentDateTime", _SENT_TIME),
    "SOURCE_ADDRESS": ("sourceAddress", "sender"),
    "STATUS": ("status", DETAIL_STATUS),
    "TASK_ID": ("taskId", "task"),
    "TASK_NAME": ("taskName", "'SimpleCampaign'"),
    "TASK_TYPE": ("taskType", "'SIMPLE'"),
    "TEMPLATE": ("template", "NULL"),
    "TEMPLATE_ID": ("templateId", "NULL"),
    "TEXT": ("text", "text"),
    "TRAFFIC": ("traffic", "traffic"),
    "TRIGGER_CONTACT_GROUP": ("triggerContactGroup", "NULL"),
    "IS_CONTACT_GROUP_DELETED": ("isContactGroupDeleted", "'No'"),
    "TRIGGER_ID": ("triggerId", "task"),
    "USER_ID": ("userId", "88"),
    "USER_LOGIN": ("userLogin", "'sandbox'"),
}
_COMBINATIONS = [
    {"taskId"},
    {"taskId", "triggerId"},
    {"dateTimeFrom", "dateTimeTo"},
    {"taskId", "triggerId", "dateTimeFrom", "dateTimeTo"},
    {"messageIds"},
]
_STATUSES = ("DELIVERED", "IN_PROGRESS", "REDIRECT", "REJECTED", "UNDELIVERED")


class Details:
    """Answers detail queries."""

    def __init__(self, store: Store, clock: Clock, stage: float) -> None:
        self._store = store
        self._clock = clock
        self._stage = stage

    async def get(self, request: web.Request) -> web.Response:
        """Answer with one page."""
        parameters = Parameters(request.query)
        limit = parameters.whole("limit", required=True, minimum=1) or 1
        offset = parameters.whole("offset", required=True, minimum=0) or 0
        _check_combination(request)
        columns = _columns(parameters)
        values: dict[str, Any] = {"now": self._clock.now(), "stage": self._stage}
        source = f"({_source(parameters)}) WHERE {_conditions(parameters, values)}"
        selected = ", ".join(f"{COLUMNS[column][1]}" for column in columns)
        query = f"SELECT {selected} FROM {source} ORDER BY {_order(parameters)} LIMIT :limit OFFSET :offset"  # noqa: S608
        rows = await self._store.rows(query, {**values, "limit": limit + 1, "offset": offset})
        page: dict[str, Any] = {
            "offset": offset,
            "number": _number(offset, limit),
            "size": limit,
            "pageExists": bool(rows),
            "data": [_shown(columns, row) for row in rows[:limit]],
            "more": len(rows) > limit,
        }
        if parameters.flag("calculateTotalCount"):
            [(total,)] = await self._store.rows(f"SELECT count(*) FROM {source}", values)  # noqa: S608
            page |= {"total": total, "pages": total // limit}
        body = json.dumps({"result": page}, ensure_ascii=False)
        return web.Response(text=body, content_type="application/json")


def _check_combination(request: web.Request) -> None:
    identifying = set().union(*_COMBINATIONS)
    given = identifying & set(request.query)
    if given not in _COMBINATIONS:
        raise Refusal("invalid", ",".join(sorted(given)), "this combination of parameters is not allowed")


def _columns(parameters: Parameters) -> list[str]:
    wanted = parameters.listed("outFields")
    unknown = set(wanted or ()) - set(COLUMNS)
    if unknown:
        raise Refusal("invalid", "outFields", "names an unknown field")
    if wanted:
        return [column for column in COLUMNS if column in wanted]
    hidden = {"SEGMENT_COUNT"} if parameters.flag("bySegments") else {"SEGMENT_ID"}
    return [column for column in COLUMNS if column not in hidden]


def _source(parameters: Parameters) -> str:
    inner = f"SELECT *, {STATUS} AS status, {EVENT_TIME} AS event FROM message WHERE {_ids_between(parameters)}"  # noqa: S608
    if not parameters.flag("bySegments"):
        return f"SELECT *, id AS segment FROM ({inner})"  # noqa: S608
    # One row for each segment. They share the message's id, and the segments' ids count up from it.
    return f"""WITH RECURSIVE part(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM part
            WHERE n + 1 < (SELECT max(segments) FROM message WHERE {_ids_between(parameters)}))
        SELECT message.*, id + n AS segment FROM ({inner}) AS message CROSS JOIN part ON n < segments"""  # noqa: S608


def _ids_between(parameters: Parameters) -> str:
    """Return a condition that limits ids to a range from `tally`.

    So a campaign is found without reading all messages.
    """
    kinds = []
    if parameters.text("taskId") is not None:
        kinds.append("task = :taskId")
    if parameters.text("dateTimeFrom") is not None:
        kinds += ["accepted >= :dateTimeFrom", "accepted <= :dateTimeTo"]
    if not kinds:
        return "1"
    matching = f"FROM tally WHERE {' AND '.join(kinds)}"
    return f"id BETWEEN (SELECT min(first) {matching}) AND (SELECT max(last) {matching})"


def _conditions(parameters: Parameters, values: dict[str, Any]) -> str:
    conditions = ["1", *_equalities(parameters, values)]
    for name, comparison in (("dateTimeFrom", ">="), ("dateTimeTo", "<=")):
        if (moment := parameters.moment(name)) is not None:
            conditions.append(f"accepted {comparison} :{name}")
            values[name] = _seconds(moment) + (0.999999 if comparison == "<=" else 0)
    if (searched := parameters.text("searchText")) is not None:
        conditions.append("instr(text, :searchText) > 0")
        values["searchText"] = searched
    for name, only in (("countryId", 12), ("mogId", 0), ("userId", 88)):
        if parameters.whole(name) not in {None, only}:
            conditions.append("0")
    if (ids := parameters.listed("messageIds")) is not None:
        if not all(each.isascii() and each.isdigit() for each in ids):
            raise Refusal("invalid", "messageIds", "must be integers")
        known = {number for each in ids if (number := sqlite_id(each)) is not None}
        conditions.append(f"id IN ({','.join(map(str, known))})")
    parameters.offset_minutes("timeOffset")
    return " AND ".join(conditions)


def _equalities(parameters: Parameters, values: dict[str, Any]) -> Iterator[str]:
    wanted = {
        "task": ("taskId", parameters.whole("taskId")),
        "triggers": ("triggerId", parameters.whole("triggerId")),
        "recipient": ("recipient", parameters.text("recipient")),
        "sender": ("sourceAddress", parameters.text("sourceAddress")),
        DETAIL_STATUS: ("status", parameters.one_of("status", _STATUSES)),
    }
    for column, (name, value) in wanted.items():
        if value is not None:
            values[name] = value
            yield f"{'task' if column == 'triggers' else column} = :{name}"


def _seconds(moment: datetime) -> float:
    return moment.replace(tzinfo=UTC).timestamp()


def _order(parameters: Parameters) -> str:
    direction = parameters.one_of("order", ("ASC", "DESC")) or "ASC"
    column = parameters.one_of("orderField", COLUMNS)
    first = "" if column is None else f"{COLUMNS[column][1]} {direction}, "
    return f"{first}id {direction}, segment {direction}"


def _number(offset: int, limit: int) -> int:
    """Return the number of a page by the three rules of the API docs, word for word."""
    if offset == 0:
        return 1
    return 2 if offset < limit else offset // limit + 1


def _shown(columns: list[str], row: Row) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for column, value in zip(columns, row, strict=True):
        if column in {"MESSAGE_ID", "SEGMENT_ID"}:
            shown[COLUMNS[column][0]] = str(value)
        elif column == "PRICE":
            shown[COLUMNS[column][0]] = float(PRICE)
        elif column in {"EVENT_DATE_TIME", "SENT_DATE_TIME"}:
            shown[COLUMNS[column][0]] = None if value is None else written_time(value)
        else:
            shown[COLUMNS[column][0]] = value
    return shown
