"""Details: GET /sms-stat/detail, everything that the service knows about sent messages, a page at a time.

This module holds the query with its allowed combinations, the call for one page, and the reading of its answer. The
columns of a row are in detail_rows.py. Walking through pages is in flow/.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from copy import copy
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any, cast
from urllib.parse import urlencode

from attrs import evolve, field, fields, frozen

from ..errors import CallFailed, InvalidQuery
from ..exchange import Answer, Call
from ..redaction import mask_phone
from .detail_rows import DetailField, DetailRow, DetailStatus, read_row
from .message import encodable
from .wire.converter import Mismatch, camel, structure_readable, wire_class
from .wire.endpoint import Endpoint
from .wire.envelope import bad_answer, checked_id, is_refusal, reasons_from_envelope, refused
from .wire.query import Problems, is_aware, wall_clocks
from .wire.strict_json import Run, Unreadable, members

__all__ = ["ENDPOINT", "DetailPage", "DetailQuery", "SortOrder", "call", "key_of", "read", "split", "written_dates"]

ENDPOINT = Endpoint(operation="details", method="GET", path="/sms-stat/detail")
# Common servers and gateways refuse request lines over 8 KB. Host and path count as well.
MAX_URL_BYTES = 8_000
_MAX_ADDRESS_BYTES = 400
_MAX_FILTER_BYTES = 4_000
_STEP = 32

_IDENTIFYING = ("task_id", "trigger_id", "date_time_from", "date_time_to", "message_ids")
# API docs, "Parameters combinations".
_COMBINATIONS = (
    {"task_id"},
    {"task_id", "trigger_id"},
    {"date_time_from", "date_time_to"},
    {"task_id", "trigger_id", "date_time_from", "date_time_to"},
    {"message_ids"},
)


class SortOrder(StrEnum):
    """The direction of sorting."""

    ASC = "ASC"
    DESC = "DESC"


def _member(kind: type[StrEnum], value: Any) -> Any:
    """Return the enum member with this value. Anything else is returned unchanged, so that the checks report it."""
    return kind(value) if isinstance(value, str) and value in kind._value2member_map_ else value


def _ids(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else value


def _out_fields(value: Any) -> Any:
    listed = _ids(value)
    return tuple(_member(DetailField, each) for each in listed) if isinstance(listed, tuple) else value


def _order(value: SortOrder | str | None) -> SortOrder | None:
    return cast("SortOrder | None", _member(SortOrder, value))


def _order_field(value: DetailField | str | None) -> DetailField | None:
    return cast("DetailField | None", _member(DetailField, value))


def _status(value: DetailStatus | str | None) -> DetailStatus | None:
    return cast("DetailStatus | None", _member(DetailStatus, value))


@frozen(kw_only=True)
class DetailQuery:
    """Which messages to look up (API docs, "Details", request parameters). Every field is optional, but exactly one
    of these combinations must be given:

    - `task_id`
    - `task_id` and `trigger_id`
    - `date_time_from` and `date_time_to`
    - `task_id`, `trigger_id`, `date_time_from` and `date_time_to`
    - `message_ids`

    Rows come in ascending order of MESSAGE_ID, unless `order_field` or `order` says otherwise. The paginator sets
    `limit` and `offset`. `recipient` may have a leading `+`, which is dropped. Aware dates need a client with a
    `time_zone`. Raises InvalidQuery, a ValueError whose `problems` lists everything that is wrong.
    """

    task_id: int | None = None
    trigger_id: int | None = None
    date_time_from: datetime | None = None
    date_time_to: datetime | None = None
    message_ids: Sequence[str | int] | None = field(default=None, converter=_ids)
    by_segments: bool | None = None
    calculate_total_count: bool | None = None
    country_id: int | None = None
    mog_id: int | None = None
    order: SortOrder | None = field(default=None, converter=_order)
    order_field: DetailField | None = field(default=None, converter=_order_field)
    out_fields: Sequence[DetailField | str] | None = field(default=None, converter=_out_fields)
    recipient: str | None = field(default=None, repr=lambda number: repr(mask_phone(number)))
    search_text: str | None = field(default=None, repr=lambda text: "None" if text is None else "<set>")
    source_address: str | None = None
    status: DetailStatus | None = field(default=None, converter=_status)
    time_offset: int | None = None
    user_id: int | None = None
    # The encoded part of the query string that is the same for every page: all but dates and ids.
    _filters: str = field(init=False, default="", eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        problems = Problems()
        self._check_combination(problems)
        self._check_kinds(problems)
        self._check_ids(problems)
        problems.raise_any()
        filters = urlencode(list(_filters(self)), safe=":")
        if len(filters) > _MAX_FILTER_BYTES:
            problems.add("searchText", f"the filters are over {_MAX_FILTER_BYTES} bytes when encoded")
        problems.raise_any()
        object.__setattr__(self, "_filters", filters)

    def _check_combination(self, problems: Problems) -> None:
        given = {name for name in _IDENTIFYING if getattr(self, name) is not None}
        if given not in _COMBINATIONS:
            allowed = "; ".join(" + ".join(map(camel, sorted(each))) for each in _COMBINATIONS)
            named = " + ".join(map(camel, sorted(given))) or "nothing"
            problems.add(named, f"is not an allowed combination. Give exactly one of: {allowed}")

    def _check_kinds(self, problems: Problems) -> None:
        for name in ("task_id", "trigger_id", "country_id", "mog_id", "time_offset", "user_id"):
            problems.whole(camel(name), getattr(self, name))
        for name in ("date_time_from", "date_time_to"):
            if getattr(self, name) is not None:
                problems.moment(camel(name), getattr(self, name))
        for name in ("by_segments", "calculate_total_count"):
            if not isinstance(getattr(self, name), bool | None):
                problems.add(camel(name), "must be True or False")
        for name in ("search_text", "source_address", "recipient"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, str) or not value or not encodable(value)):
                problems.add(camel(name), "must be a str that is not empty and can be sent")
        for name, kind in (("order", SortOrder), ("order_field", DetailField), ("status", DetailStatus)):
            if not isinstance(getattr(self, name), kind | None):
                problems.add(camel(name), f"must be one of {', '.join(kind)}")
        _check_fields(self.out_fields, problems)
        _check_dates(self.date_time_from, self.date_time_to, problems)

    def _check_ids(self, problems: Problems) -> None:
        if self.message_ids is None:
            return
        if not self.message_ids or not isinstance(self.message_ids, tuple):
            problems.add("messageIds", "must hold at least one id, in a list or tuple")
            return
        checked = []
        for index, each in enumerate(self.message_ids):
            try:
                checked.append(checked_id(each, f"messageIds[{index}]"))
            except InvalidQuery as invalid:
                problems.found += invalid.problems
        object.__setattr__(self, "message_ids", tuple(checked))


def _check_fields(given: object, problems: Problems) -> None:
    if given is not None and not (isinstance(given, tuple) and all(isinstance(each, DetailField) for each in given)):
        problems.add("outFields", f"must be a list of {', '.join(DetailField)}")


def _check_dates(start: object, end: object, problems: Problems) -> None:
    if isinstance(start, datetime) and isinstance(end, datetime):
        if is_aware(start) != is_aware(end):
            problems.add("dateTimeTo", "must have a time zone if and only if dateTimeFrom has one")
        elif end < start:
            problems.add("dateTimeTo", "must not be before dateTimeFrom")


# All fields except dates and ids, which `call` encodes.
_FILTERS = tuple(
    each.name
    for each in fields(DetailQuery)
    if each.init and each.name not in {"date_time_from", "date_time_to", "message_ids"}
)


@frozen
class DetailPage:
    """One page of rows. Rely on `rows`, as the service computes `pages` and `number` oddly (see the API docs).

    `total` and `pages` are set only if the query asks for `calculate_total_count`. `unread` counts the rows that could
    not be read completely, and the fields here that could not be read. The unreadable parts of a row are in its
    `extra`.
    """

    rows: tuple[DetailRow, ...] = ()
    offset: int | None = None
    size: int | None = None
    number: int | None = None
    page_exists: bool | None = None
    total: int | None = None
    pages: int | None = None
    more: bool | None = None
    unread: int = 0


wire_class(DetailPage, omitted={"rows", "unread"})


def split(query: DetailQuery, page_size: int) -> Iterator[DetailQuery]:
    """Yield the query itself, or several queries that each hold some of its ids, so that no URL exceeds 8,000 bytes."""
    if query.message_ids is None:
        yield query
        return
    bare = _joined(query, [], offset=10**12, limit=page_size)
    room = MAX_URL_BYTES - _MAX_ADDRESS_BYTES - len(ENDPOINT.path) - len(bare)
    part: list[str | int] = []
    used = 0
    for each in query.message_ids:
        needed = len("&messageIds=") + len(str(each))
        if part and used + needed > room:
            yield _part(query, part)
            part, used = [], 0
        part.append(each)
        used += needed
    yield _part(query, part)


def _part(query: DetailQuery, ids: list[str | int]) -> DetailQuery:
    """Return a copy of the query with only these ids. It skips the checks, which the query has passed already."""
    part = copy(query)
    object.__setattr__(part, "message_ids", tuple(ids))
    return part


def written_dates(query: DetailQuery, zone: tzinfo | None) -> list[tuple[str, str]]:
    """Return pairs of wire name and text for a query's dates.

    Raises InvalidQuery if a date is aware and `zone` is None.
    """
    if query.date_time_from is None or query.date_time_to is None:
        return []
    moments = {"dateTimeFrom": query.date_time_from, "dateTimeTo": query.date_time_to}
    written = (each.isoformat(sep=" ", timespec="seconds") for each in wall_clocks(moments, zone))
    return list(zip(moments, written, strict=True))


def call(query: DetailQuery, *, offset: int, limit: int, zone: tzinfo | None = None) -> Call:
    """Return the call for `limit` rows from `offset` on.

    A list is sent with its key repeated for each item. A space in a date is sent as `+`.
    """
    chosen = written_dates(query, zone) + [("messageIds", str(each)) for each in query.message_ids or ()]
    return ENDPOINT.call(query=_joined(query, chosen, offset=offset, limit=limit))


def _joined(query: DetailQuery, chosen: list[tuple[str, str]], *, offset: int, limit: int) -> str:
    pairs = [("limit", str(limit)), ("offset", str(offset)), *chosen]
    return f"{query._filters}&{urlencode(pairs, safe=':')}"


def _filters(query: DetailQuery) -> Iterator[tuple[str, str]]:
    for name in _FILTERS:
        value, wire = _or_complete_order(query, name), camel(name)
        if value is None:
            continue
        if name == "out_fields":
            yield from ((wire, str(column)) for column in value)
        elif isinstance(value, bool):
            yield wire, str(value).lower()
        else:
            yield wire, str(value).removeprefix("+") if name == "recipient" else str(value)


def _or_complete_order(query: DetailQuery, name: str) -> Any:
    """Return the value of a field. If `order_field` is not set, a missing `order` or `order_field` gets its default.

    Without a complete order, pages could repeat some rows and leave others out.
    """
    value = getattr(query, name)
    if value is None and query.order_field is None:
        return {"order": SortOrder.ASC, "order_field": DetailField.MESSAGE_ID}.get(name)
    return value


def key_of(query: DetailQuery, row: DetailRow) -> tuple[str | None, ...] | None:
    """Return a key that is unique among the rows of this query, or None if the row lacks the columns for it.

    The recipient is part of it, because a wrong id that is on rows of two recipients must not hide one of them.
    """
    if row.message_id is None or (query.by_segments and row.segment_id is None):
        return None
    return row.message_id, row.segment_id, row.recipient


def read(answer: Answer, *, zone: tzinfo | None = None) -> Generator[None, None, DetailPage]:
    """Return a page. Yields after every few rows. Raises BadAnswer or Refused."""
    outcome = yield from _outcome_of(answer, zone)
    # Raised here, because the locals of _outcome_of hold the answer, and error trackers record locals.
    if isinstance(outcome, CallFailed):
        raise outcome
    return outcome


def _outcome_of(answer: Answer, zone: tzinfo | None) -> Generator[None, None, DetailPage | CallFailed]:
    top: dict[str, Any] = {}
    page: dict[str, Any] = {}
    rows: list[DetailRow] = []
    unread = 0
    problem: str
    try:
        for depth, name, value in members(answer.body, "result", "data", lenient=True):
            if depth == 0:
                top[name] = value
            elif name != "data":
                page[name] = value
            else:
                page["data"] = None
                unread += yield from _read_rows(value, zone, rows)
        if page or rows:
            # If one of the service's counts cannot be read, it is None. The rows do not depend on it.
            read_page, odd = structure_readable(page, DetailPage)
            return evolve(read_page, rows=tuple(rows), unread=unread + odd)
        if is_refusal(top):
            return refused(answer, ENDPOINT.operation, reasons_from_envelope(top))
        problem = "the answer holds no result"
    except Unreadable as error:
        problem = str(error)
    except Mismatch as error:
        problem = f"the answer does not match the API docs: {error}"
    return bad_answer(answer, ENDPOINT.operation, problem)


def _read_rows(run: Any, zone: tzinfo | None, rows: list[DetailRow]) -> Generator[None, None, int]:
    if run is None:
        return 0
    if type(run) is not Run:
        raise Mismatch("data must be a list")
    unread = 0
    for value in run:
        row, whole = read_row(value, zone)
        rows.append(row)
        unread += not whole
        if len(rows) % _STEP == 0:
            yield
    return unread
