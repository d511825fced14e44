"""The ladder: what a set of events says about one message. Pure. Neither order nor repetition changes the result.

Transient statuses rank below final ones, and CLICKED ranks above all. Events are kept in store.py and sqlite.py.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from attrs import field, frozen

from ..protocol.statuses import Status

__all__ = ["Delivery", "DeliveryChange", "StatusEvent", "delivery_of"]

# SCHEDULED and ACCEPTED come in either order. A status that this version does not know ranks below all others.
_TRANSIENT = {Status.ACCEPTED: 1, Status.SCHEDULED: 1, Status.ENROUTE: 2, Status.SENT: 3}
_FINAL = frozenset({Status.DELIVERED, Status.EXPIRED, Status.UNDELIVERABLE, Status.REJECTED})
_STATUSES: dict[str, Status | str] = {each.value: each for each in Status}
_LATEST = datetime.max.replace(tzinfo=UTC)


def _known(status: Status | str) -> Status | str:
    return _STATUSES.get(status, status)


@frozen
class StatusEvent:
    """A piece of news about a message. Two equal ones count as one. `at` is None where the news had no time."""

    message_id: str
    status: Status | str = field(converter=_known)
    at: datetime | None = None
    error_code: int | None = None


@frozen
class Delivery:
    """What is known of a message.

    `status` is None while nothing is known. `at` and `error_code` are those of that status. `final` means that only
    CLICKED can follow. `conflicting` holds other final statuses that came as well: the earliest one is `status`, and
    which one is right cannot be known. UNKNOWN, an error of the service, is final until a better status comes.
    """

    message_id: str
    status: Status | str | None = None
    at: datetime | None = None
    error_code: int | None = None
    final: bool = False
    conflicting: tuple[Status, ...] = ()


@frozen
class DeliveryChange:
    """A message's delivery before and after a piece of news."""

    before: Delivery
    after: Delivery


def delivery_of(message_id: str, events: Iterable[StatusEvent]) -> Delivery:
    """Return what these events, all of one message, say about it."""
    earliest: dict[Status | str, StatusEvent] = {}
    for event in events:
        known = earliest.get(event.status)
        if known is None or _age(event) < _age(known):
            earliest[event.status] = event
    if not earliest:
        return Delivery(message_id)
    ends = sorted((earliest[each] for each in _FINAL & earliest.keys()), key=_age)
    clicked, unknown = earliest.get(Status.CLICKED), earliest.get(Status.UNKNOWN)
    if clicked is not None:
        shown, others = clicked, [each for each in ends if each.status is not Status.DELIVERED]
    elif ends:
        shown, others = ends[0], ends[1:]
    elif unknown is not None:
        shown, others = unknown, []
    else:
        shown, others = max(earliest.values(), key=_height), []
    return Delivery(
        message_id,
        shown.status,
        shown.at,
        shown.error_code,
        final=clicked is not None or bool(ends) or unknown is not None,
        conflicting=tuple(Status(each.status) for each in others),
    )


def _moment(at: datetime | None) -> datetime:
    # The zone of a naive time is not known, so it is compared as if it were UTC. A missing time counts as the latest.
    if at is None:
        return _LATEST
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _age(event: StatusEvent) -> tuple[datetime, bool, str, int]:
    # All fields take part. If two different events could be equally old, their order of arrival would matter.
    is_naive = event.at is not None and event.at.tzinfo is None
    return _moment(event.at), is_naive, str(event.status), -1 if event.error_code is None else event.error_code


def _height(event: StatusEvent) -> tuple[int, tuple[datetime, bool, str, int]]:
    rank = _TRANSIENT.get(event.status, 0) if isinstance(event.status, Status) else 0
    return rank, _age(event)
