"""Statuses: POST /sms-stat/statuses/get-by-ids, at most 500 ids a call.

Answers are matched to the requested ids here, even if an id was rounded to a float64. How many calls run at once is
decided in flow/.
"""

import json
from collections.abc import Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Any

from attrs import evolve, frozen

from ..exchange import Answer, Call
from .wire.converter import Mismatch, as_id, as_text, in_zone, structure_readable, wire_class
from .wire.endpoint import Endpoint
from .wire.envelope import checked_id, result_of

__all__ = ["ENDPOINT", "MAX_IDS", "MessageStatus", "Status", "call", "checked", "read"]

ENDPOINT = Endpoint(operation="statuses", method="POST", path="/sms-stat/statuses/get-by-ids")
# API docs, "Getting statuses": "You can send no more than 500 values at the same time."
MAX_IDS = 500


class Status(StrEnum):
    """Delivery status, as callbacks and status look-ups give it (API docs, "Possible statuses")."""

    ACCEPTED = "ACCEPTED"
    SCHEDULED = "SCHEDULED"
    ENROUTE = "ENROUTE"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    EXPIRED = "EXPIRED"
    CLICKED = "CLICKED"
    UNDELIVERABLE = "UNDELIVERABLE"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


@frozen
class MessageStatus:
    """What the service last knew of one message.

    `status` is a Status, or a plain str when the service says something new. `status_date_time` is None where it is
    missing or cannot be read. It is naive unless the client was given a `time_zone`, as the API docs do not say which
    zone it is in.
    """

    message_id: str
    status: Status | str
    status_date_time: datetime | None = None


_STATUSES: dict[str, Status | str] = {each.value: each for each in Status}


def _status(value: Any, _: Any = None) -> Status | str:
    text = as_text(value)
    if not text.strip():
        raise Mismatch("must be a str that is not empty")
    return _STATUSES.get(text, text)


wire_class(MessageStatus, names={"message_id": "smsId"}, hooks={"message_id": as_id, "status": _status})


def checked(each: str | int) -> str:
    """Return the id as it is sent. Raises InvalidQuery for anything that cannot be one, such as a float or a bool."""
    return checked_id(each, "ids")


def call(ids: Sequence[str]) -> Call:
    """Return the call that looks up at most 500 ids. An id that is given twice is sent once."""
    return ENDPOINT.call(body=(json.dumps(list(dict.fromkeys(ids))).encode(),))


def read(answer: Answer, ids: Sequence[str], *, zone: tzinfo | None = None) -> tuple[list[MessageStatus], int]:
    """Return the statuses of the ids that the service knows, and how many items could not be read completely.

    The statuses come in the order of the request. An item whose id or status cannot be read is left out. An id in the
    answer is matched to the requested id that equals it. A number that may have been rounded to a float64 is matched
    only if exactly one requested id has the same float64. Raises BadAnswer or Refused.
    """
    rows, unread = result_of(answer, ENDPOINT.operation, _rows)
    requested = dict.fromkeys(ids)
    found: dict[str, MessageStatus] = {}
    rounded: list[tuple[int, MessageStatus]] = []
    for raw_id, row in rows:
        if row.message_id in requested:
            found[row.message_id] = row
        elif isinstance(raw_id, int) and _may_be_rounded(raw_id):
            rounded.append((raw_id, row))
    if rounded:
        _match_rounded(rounded, requested, found)
    return [_zoned(found[each], zone) for each in requested if each in found], unread


def _rows(result: Any) -> tuple[list[tuple[Any, MessageStatus]], int]:
    listed = [result] if isinstance(result, dict) else result
    if not isinstance(listed, list):
        raise Mismatch("the result must be a list")
    rows, unread = [], 0
    for item in listed:
        try:
            row, odd = structure_readable(item, MessageStatus)
        except Mismatch:
            unread += 1
            continue
        unread += bool(odd)
        rows.append((item["smsId"], row))
    return rows, unread


def _match_rounded(
    rounded: list[tuple[int, MessageStatus]], requested: dict[str, None], found: dict[str, MessageStatus]
) -> None:
    wanted: dict[float, list[str]] = {}
    for each in requested:
        if each.isdigit():
            wanted.setdefault(float(each), []).append(each)
    for raw_id, row in rounded:
        same = wanted.get(float(raw_id), [])
        if len(same) == 1 and same[0] not in found:
            found[same[0]] = evolve(row, message_id=same[0])


def _may_be_rounded(number: int) -> bool:
    """Return whether the number may be a float64 that was printed, either in full or in JavaScript's short form."""
    if abs(number) < 2**53:
        return False
    nearest = float(number)
    return number in {int(nearest), int(Decimal(repr(nearest)))}


def _zoned(row: MessageStatus, zone: tzinfo | None) -> MessageStatus:
    return row if zone is None else evolve(row, status_date_time=in_zone(row.status_date_time, zone))
