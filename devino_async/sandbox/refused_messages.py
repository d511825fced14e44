"""What the inbox shows of a message that was rejected. Its fields may be of any type, or missing."""

import json
from typing import Any

__all__ = ["told_of"]

_MAX_PHONE = 64
_MAX_SENDER = 200
_MAX_TEXT = 40_000


def told_of(message: Any, problems: list[tuple[str, str]]) -> tuple[str, str, str, str]:
    """Return the phone, the sender, the text, and the reasons as JSON."""
    fields = message if isinstance(message, dict) else {}
    phone = _shown(fields.get("to"), _MAX_PHONE) or "(no number)"
    reasons = json.dumps([{"key": key, "ref": ref} for key, ref in problems])
    return phone, _shown(fields.get("from"), _MAX_SENDER), _shown(fields.get("text"), _MAX_TEXT), reasons


def _shown(value: Any, longest: int) -> str:
    """Return a value as a string that sqlite can hold. JSON can hold half a surrogate pair."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:longest].encode(errors="replace").decode()
