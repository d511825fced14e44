"""Number formats of cells: how many decimals a person sees, and whether a number is a percentage.

Currency signs and thousands separators are left out. Dates are converted in spreadsheets.py.
"""

import re
from decimal import ROUND_HALF_UP, Decimal

from attrs import frozen

__all__ = ["PERCENTAGE", "Shape", "shapes_of", "shown"]


@frozen
class Shape:
    """The decimals of a number that are always shown, and those that are shown if they are not zero.

    `digits` is how many digits stand before them at least, as in the code 00042.
    """

    percent: bool
    minimum: int
    maximum: int
    digits: int = 1


PERCENTAGE = Shape(percent=True, minimum=0, maximum=10)
"""A percentage whose decimals are unknown."""

_WHOLE, _TWO = Shape(percent=False, minimum=0, maximum=0), Shape(percent=False, minimum=2, maximum=2)
# Formats that are built into Excel and are not written to the file.
_BUILT_IN = dict.fromkeys((1, 3, 5, 6, 37, 38, 41, 42), _WHOLE) | dict.fromkeys((2, 4, 7, 8, 39, 40, 43, 44), _TWO)
_BUILT_IN |= {9: Shape(percent=True, minimum=0, maximum=0), 10: Shape(percent=True, minimum=2, maximum=2)}

_NUM_FMT = re.compile(rb"<(?:\w+:)?numFmt\b([^>]*)>")
_XFS = re.compile(rb"<(?:\w+:)?cellXfs\b[^>]*>(.*?)</(?:\w+:)?cellXfs>", re.DOTALL)
_XF = re.compile(rb"<(?:\w+:)?xf\b[^>]*?\bnumFmtId=\"(\d{1,6})\"")
_ID = re.compile(rb'\bnumFmtId="(\d{1,6})"')
_CODE = re.compile(rb'\bformatCode="([^"]*)"')
# Texts within a format, colours and conditions, and signs that stand for themselves or for a space.
_ASIDE = re.compile(r'"[^"]*"|&quot;.*?&quot;|\[[^\]]*\]|\\.|_.|\*.')
_OTHER = r"[^0#?.,%a-zA-Z@/]*"
_PLAIN = re.compile(rf"{_OTHER}([0#?,][0#?, \xa0\u202f]*)(?:\.([0#?]*))?{_OTHER}(%?){_OTHER}")
_PHONE_LIKE = 10**9


def shapes_of(styles: bytes) -> dict[int, Shape]:
    """Return the shapes of the cell styles of a workbook by their index, from its part styles.xml."""
    codes: dict[int, Shape | None] = dict(_BUILT_IN)
    for attributes in _NUM_FMT.findall(styles):
        number, code = _ID.search(attributes), _CODE.search(attributes)
        if number and code:
            codes[int(number[1])] = _shape(code[1].decode("utf-8", "replace"))
    section = _XFS.search(styles)
    found = {place: codes.get(int(number)) for place, number in enumerate(_XF.findall(section[1] if section else b""))}
    return {place: shape for place, shape in found.items() if shape is not None}


def _shape(code: str) -> Shape | None:
    """Return the shape of a format such as `# ##0.00`, or None for dates, fractions, exponents and what is unknown."""
    plain = _PLAIN.fullmatch(_ASIDE.sub("", code).split(";")[0])
    if plain is None or plain[1].rstrip().endswith(","):
        return None
    decimals = plain[2] or ""
    return Shape(bool(plain[3]), decimals.count("0"), len(decimals), plain[1].count("0"))


def shown(value: float, shape: Shape | None = None) -> str:
    """Return a number as a person sees it: at most the 15 digits that spreadsheets keep, without an exponent."""
    # A phone number may have a format with two decimals, which are not part of the number.
    is_plain = shape is None or (not shape.percent and (shape.minimum == 0 or abs(value) >= _PHONE_LIKE))
    if is_plain and abs(value) < 1e15 and value == int(value):
        return str(int(value)).zfill(0 if shape is None else shape.digits + (value < 0))
    number = Decimal(f"{value:.15g}")
    if shape is None:
        return format(number, "f")
    if shape.percent:
        number *= 100
    text = format(number.quantize(Decimal(1).scaleb(-shape.maximum), ROUND_HALF_UP), "f")
    for _ in range(shape.maximum - shape.minimum):
        text = text.removesuffix("0")
    whole, dot, decimals = text.removesuffix(".").partition(".")
    return whole.zfill(shape.digits + (value < 0)) + dot + decimals + "%" * shape.percent
