"""Checks of one message. They use the keys that the API docs name, and a few other keys."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from .recipients import REFUSED
from .text import is_too_long

__all__ = ["OPTIONAL", "PRIORITIES", "problems_of", "scheduled_at"]

PRIORITIES = {"LOW", "MEDIUM", "HIGH", "REALTIME"}
OPTIONAL = ("validity", "scheduledTime", "priority", "callbackUrl", "options")
UNAPPROVED_SENDER = "Unknown"
_PHONE = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_MAX_VALIDITY = 259_200


def problems_of(message: Any, now: float) -> list[tuple[str, str]]:
    """Return all problems of a message, as pairs of key and field."""
    if not isinstance(message, dict):
        return [("invalid", "")]
    return list(_problems(message, now))


def _problems(message: dict[str, Any], now: float) -> Iterator[tuple[str, str]]:
    sender, text = message.get("from"), message.get("text")
    if not _is_text(sender) or not sender.strip() or sender == UNAPPROVED_SENDER:
        yield "not.available", "from"
    recipient = message.get("to")
    if not isinstance(recipient, str) or not _PHONE.fullmatch(recipient) or recipient.endswith(REFUSED):
        yield "to.format.invalid", "to"
    if not _is_text(text) or not text:
        yield "must.be.not.null", "text"
    elif is_too_long(text):
        yield "text.length.too.long", "text"
    if len(message) > 3:
        yield from _optional_problems(message, now)


def _optional_problems(message: dict[str, Any], now: float) -> Iterator[tuple[str, str]]:
    validity = message.get("validity")
    if validity is not None and (type(validity) is not int or not 0 <= validity <= _MAX_VALIDITY):
        yield "validity.is.invalid", "validity"
    if message.get("scheduledTime") is not None and scheduled_at(message["scheduledTime"], now) is None:
        yield "scheduledTime.is.invalid", "scheduledTime"
    priority = message.get("priority")
    if priority is not None and (not isinstance(priority, str) or priority not in PRIORITIES):
        yield "priority.is.not.match", "priority"
    if message.get("callbackUrl") is not None and not _is_url(message["callbackUrl"]):
        yield "callbackUrl.format.invalid", "callbackUrl"
    if not isinstance(message.get("options"), dict | None):
        yield "invalid", "options"


def _is_text(value: Any) -> TypeGuard[str]:
    """Return whether a value is a str that UTF-8 and sqlite can hold. JSON can hold half a surrogate pair."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def scheduled_at(value: Any, now: float) -> float | None:
    """Return the moment of a scheduledTime in seconds since 1970, or None if it is invalid. A past one means now."""
    if not isinstance(value, str) or not value.endswith("Z"):
        return None
    try:
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except ValueError:
        return None
    return max(moment.timestamp(), now)


def _is_url(value: Any) -> bool:
    if not _is_text(value) or any(character <= " " for character in value):
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
