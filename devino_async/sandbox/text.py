"""The count of segments of a text, and the limits that the API docs set for its length."""

__all__ = ["is_latin", "is_too_long", "segment_count"]

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_ESCAPED = frozenset("\f^{}\\[~]|€")
_LATIN = _BASIC | _ESCAPED
_MAX_LATIN = 34_170
_MAX_OTHER = 17_085


def is_latin(text: str) -> bool:
    """Return whether a text fits into the GSM alphabet."""
    return _LATIN.issuperset(text)


def _is_wide(character: str) -> bool:
    """Return whether a character takes two UCS-2 units."""
    return character > "\uffff"


def is_too_long(text: str) -> bool:
    """Return whether the text exceeds the limit for its alphabet."""
    if len(text) <= _MAX_OTHER // 2:
        return False
    if is_latin(text):
        return len(text) > _MAX_LATIN
    return len(text) + sum(map(_is_wide, text)) > _MAX_OTHER


def segment_count(text: str) -> int:
    """Return the number of segments: 160 or 70 units fit into one segment, 153 or 67 into each of several.

    A character of two units is never split. If a segment has only one unit left for it, that unit stays empty.
    """
    if len(text) <= 35:
        return 1
    latin = is_latin(text)
    alone, chained = (160, 153) if latin else (70, 67)
    is_double = _ESCAPED.__contains__ if latin else _is_wide
    doubles = [place for place, character in enumerate(text) if is_double(character)]
    units = len(text) + len(doubles)
    if units <= alone:
        return 1
    # `lost` is the number of units that stay empty. `place + before` is the number of units before a double.
    lost = 0
    for before, place in enumerate(doubles):
        if (place + before + lost) % chained == chained - 1:
            lost += 1
    return -(-(units + lost) // chained)
