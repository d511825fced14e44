"""The columns of a detail row, their wire names and their kinds (API docs, "Fields for orderField and outFields").

The query that selects the rows is in details.py.
"""

from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Any

from attrs import evolve, field, fields, frozen

from ..redaction import mask_phone
from .wire.converter import Mismatch, as_id, as_yes_or_no, in_zone, structure_readable, wire_class

__all__ = ["DetailField", "DetailRow", "DetailStatus", "Traffic", "read_row"]


class DetailStatus(StrEnum):
    """The statuses of detail rows and of the filter on them. They differ from those of Status."""

    DELIVERED = "DELIVERED"
    IN_PROGRESS = "IN_PROGRESS"
    REDIRECT = "REDIRECT"
    REJECTED = "REJECTED"
    UNDELIVERED = "UNDELIVERED"


class Traffic(StrEnum):
    """The kind of traffic that a message was billed as."""

    ADVERTISING = "ADVERTISING"
    AUTHORIZATION = "AUTHORIZATION"
    INCOMING = "INCOMING"
    SERVICE = "SERVICE"
    TRANSACTIONAL = "TRANSACTIONAL"


class DetailField(StrEnum):
    """A column, as `order_field` and `out_fields` name it."""

    COMPANY_ID = "COMPANY_ID"
    COMPANY_NAME = "COMPANY_NAME"
    CONTACT_ID = "CONTACT_ID"
    COUNTRY_ID = "COUNTRY_ID"
    COUNTRY_NAME = "COUNTRY_NAME"
    ERROR_CODE = "ERROR_CODE"
    EVENT_DATE_TIME = "EVENT_DATE_TIME"
    MESSAGE_ID = "MESSAGE_ID"
    MOG_ID = "MOG_ID"
    MOG_NAME = "MOG_NAME"
    MO_ID = "MO_ID"
    MO_NAME = "MO_NAME"
    PRICE = "PRICE"
    PROVIDER_MESSAGE_ID = "PROVIDER_MESSAGE_ID"
    RECIPIENT = "RECIPIENT"
    RECIPIENT_ZONE_NAME = "RECIPIENT_ZONE_NAME"
    ROUTE = "ROUTE"
    SEGMENT_COUNT = "SEGMENT_COUNT"
    SEGMENT_ID = "SEGMENT_ID"
    SENT_DATE_TIME = "SENT_DATE_TIME"
    SOURCE_ADDRESS = "SOURCE_ADDRESS"
    STATUS = "STATUS"
    TASK_ID = "TASK_ID"
    TASK_NAME = "TASK_NAME"
    TASK_TYPE = "TASK_TYPE"
    TEMPLATE = "TEMPLATE"
    TEMPLATE_ID = "TEMPLATE_ID"
    TEXT = "TEXT"
    TRAFFIC = "TRAFFIC"
    TRIGGER_CONTACT_GROUP = "TRIGGER_CONTACT_GROUP"
    IS_CONTACT_GROUP_DELETED = "IS_CONTACT_GROUP_DELETED"
    TRIGGER_ID = "TRIGGER_ID"
    USER_ID = "USER_ID"
    USER_LOGIN = "USER_LOGIN"


@frozen(kw_only=True, repr=False)
class DetailRow:
    """One message, or one segment of a message if the query sets `by_segments`. Any column may be None.

    `price` is exact. Dates are naive unless the client was given a `time_zone`, as the API docs name no time zone.
    `extra` keeps the columns that this version does not know, and those whose values cannot be read, all under their
    wire names. A row that is not an object, or that names a key twice, is kept there whole, under the key `row`. The
    repr shows neither the text nor a full phone number.
    """

    company_id: int | None = None
    company_name: str | None = None
    contact_id: int | None = None
    country_id: int | None = None
    country_name: str | None = None
    error_code: int | None = None
    event_date_time: datetime | None = None
    message_id: str | None = None
    mog_id: int | None = None
    mog_name: str | None = None
    mo_id: int | None = None
    mo_name: str | None = None
    price: Decimal | None = None
    provider_message_id: str | None = None
    recipient: str | None = None
    recipient_zone_name: str | None = None
    route: str | None = None
    segment_count: int | None = None
    segment_id: str | None = None
    sent_date_time: datetime | None = None
    source_address: str | None = None
    status: DetailStatus | str | None = None
    task_id: int | None = None
    task_name: str | None = None
    task_type: str | None = None
    template: str | None = None
    template_id: int | None = None
    text: str | None = None
    traffic: Traffic | str | None = None
    trigger_contact_group: str | None = None
    is_contact_group_deleted: bool | None = None
    trigger_id: int | None = None
    user_id: int | None = None
    user_login: str | None = None
    extra: Mapping[str, Any] = field(factory=dict, hash=False)

    def __repr__(self) -> str:
        shown = []
        for each in fields(DetailRow):
            value = getattr(self, each.name)
            if value is not None and each.name != "extra":
                shown.append(f"{each.name}={_shown(each.name, value)}")
        if self.extra:
            shown.append(f"extra=<{', '.join(self.extra)}>")
        return f"DetailRow({', '.join(shown)})"


def _shown(name: str, value: Any) -> str:
    if name in {"text", "template"}:
        return f"<{len(value)} characters>"
    return repr(mask_phone(value)) if name in {"recipient", "user_login", "source_address"} else repr(value)


wire_class(
    DetailRow,
    hooks={
        "message_id": as_id,
        "segment_id": as_id,
        "provider_message_id": as_id,
        "is_contact_group_deleted": as_yes_or_no,
    },
)


def read_row(value: Any, zone: tzinfo | None = None) -> tuple[DetailRow, bool]:
    """Return one row of an answer, and whether all of it could be read."""
    # The API docs call the column SEGMENT_COUNT in their table and SEGMENTS_COUNT in their text.
    if type(value) is dict and "segmentsCount" in value and "segmentCount" not in value:
        value = {("segmentCount" if name == "segmentsCount" else name): item for name, item in value.items()}
    try:
        row, odd = structure_readable(value, DetailRow)
    except Mismatch:
        # The row is returned all the same: `offset` counts the service's rows, so leaving one out would make the
        # next page start too early.
        return DetailRow(extra={"row": value}), False
    if zone is not None:
        row = evolve(
            row,
            sent_date_time=in_zone(row.sent_date_time, zone),
            event_date_time=in_zone(row.event_date_time, zone),
        )
    return row, not odd
