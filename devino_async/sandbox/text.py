"""The count of segments of a text, and the limits that the API docs set for its length."""

__all__ = ["is_too_long", "segment_count"]

_BASIC = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED = set("\f^{}\\[~]|€")
_MAX_LATIN = 34_170
_MAX_OTHER = 17_085


def _is_latin(text: str) -> bool:
    return (text.isascii() and "`" not in text) or set(text) <= _BASIC | _ESCAPED


def is_too_long(text: str) -> bool:
    """Return whether the text exceeds the limit for its alphabet."""
    if len(text) <= _MAX_OTHER // 2:
        return False
    return len(text) > _MAX_LATIN if _is_latin(text) else len(text.encode("utf-16-le")) // 2 > _MAX_OTHER


def segment_count(text: str) -> int:
    """Return the number of segments: 160 or 70 characters alone, 153 or 67 each in a chain."""
    if len(text) <= 35:
        return 1
    if _is_latin(text):
        units, alone, chained = len(text) + sum(character in _ESCAPED for character in text), 160, 153
    else:
        units, alone, chained = len(text.encode("utf-16-le")) // 2, 70, 67
    return 1 if units <= alone else -(-units // chained)
