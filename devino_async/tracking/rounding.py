"""Which message is meant by an id that a float64 has rounded, as a service written in JavaScript may send it.

News of a rounded id counts for the only known id with the same float64. The choice is never a guess. News stays
stored under the id that it came with, so if a second such id becomes known, the news counts for neither. Pure, and used
by both stores.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from .ladder import Delivery, DeliveryChange, StatusEvent, delivery_of

__all__ = ["MAX_MEMBERS", "Family", "family_of", "forms_of", "known_of", "needs_members", "noted"]

_EXACT = 2**53
_MAX_DIGITS = 64

Family = Mapping[str, Collection[StatusEvent]]
"""The events of stored ids with one float64, by id.

A family may have a thousand members where ids are dense. The mapping need only hold an id itself and the forms that its
float64 is printed in (`forms_of`), unless `needs_members` is true. Then two more members are enough to show that
several ids are known.
"""
MAX_MEMBERS = 5
"""How many stored members of a family are asked for: an id itself, two forms, and two others."""


def family_of(message_id: str) -> float | None:
    """Return the float64 that an id shares with its neighbours. It is None for an id that a float64 holds exactly."""
    if not (message_id.isascii() and message_id.isdigit() and len(message_id) <= _MAX_DIGITS):
        return None
    nearest = float(message_id)
    return nearest if nearest >= _EXACT else None


def forms_of(rounded: float) -> set[str]:
    """Return what a float64 round trip prints for the ids of a family: JavaScript's digits, or the exact ones."""
    return {str(int(rounded)), str(int(Decimal(repr(rounded))))}


def needs_members(message_id: str, family: Family) -> bool:
    """Return whether other members matter. They do if the id, or a stored form of its float64, may be rounded."""
    rounded = family_of(message_id)
    if rounded is None:
        return False
    forms = (each for each in forms_of(rounded) if each == message_id or each in family)
    return any(not _has_receipt(family.get(each, ())) for each in forms)


def known_of(message_id: str, family: Family) -> Delivery:
    """Return what is known of a message. An id that is asked for counts as a known id."""
    if not needs_members(message_id, family):
        return delivery_of(message_id, family.get(message_id, ()))
    return delivery_of(message_id, _events(message_id, family, {message_id}))


def noted(
    message_id: str, family: dict[str, Collection[StatusEvent]], news: Iterable[StatusEvent]
) -> DeliveryChange | None:
    """Add news of an id to its family. Return the change in the delivery of the message, or None if there is none.

    News of a rounded id is about the only known id of the family, if there is just one.
    """
    own = family.get(message_id, ())
    about, after = message_id, {**family, message_id: {*own, *news}}
    if needs_members(message_id, family):
        exact = _exact(after)
        if message_id not in exact and len(exact) == 1:
            [about] = exact
        was, now = delivery_of(about, _events(about, family)), delivery_of(about, _events(about, after))
    else:
        was, now = delivery_of(message_id, own), delivery_of(message_id, after[message_id])
    family[message_id] = after[message_id]
    return None if was == now else DeliveryChange(was, now)


def _events(message_id: str, family: Family, asked: Collection[str] = ()) -> Collection[StatusEvent]:
    if _exact(family) | {*asked} != {message_id}:
        return family.get(message_id, ())
    return {event for events in family.values() for event in events}


def _exact(family: Family) -> set[str]:
    """Return the ids that are certainly not rounded: those with a receipt, and those that no float64 is printed as."""
    return {each for each, events in family.items() if not _may_be_rounded(each) or _has_receipt(events)}


def _has_receipt(events: Collection[StatusEvent]) -> bool:
    # The time of a callback is aware. A receipt has no time, and that of a look-up is naive unless the client has a
    # time zone. Receipts and look-ups both name the id as the answer to the send gave it.
    return any(event.at is None or event.at.tzinfo is None for event in events)


def _may_be_rounded(message_id: str) -> bool:
    rounded = family_of(message_id)
    return rounded is not None and message_id in forms_of(rounded)
