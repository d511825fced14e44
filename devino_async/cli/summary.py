"""What a check found, as a table for people, as one JSON object, and in the few lines of `devino send`."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from devino_async.campaigns import Preflight

from ..redaction import mask_phone, mask_phones
from .console import counted, printable
from .costs import money

if TYPE_CHECKING:
    from devino_async import Message
    from devino_async.campaigns.preflight_results import CulpritCost

__all__ = ["as_data", "between", "in_short", "table", "unmatched"]

_SHOWN_LINES = 5
_SHOWN_KINDS = 10
_SHOWN_TEXT = 200


def as_data(found: Preflight, balance: Decimal | None, *, show: bool) -> dict[str, Any]:
    """Return the object of `devino check --json`. Phone numbers in the samples are masked unless `show` is set."""
    return {
        "rows": found.rows,
        "valid": found.valid,
        "invalid": found.invalid,
        "recipients": found.recipients,
        "repeated": found.repeated,
        "excluded": found.excluded,
        "scheduled_in_the_past": found.scheduled_in_the_past,
        "segments": found.segments,
        "segments_max": found.segments_max,
        "alphabets": dict(found.alphabets),
        "culprits": [
            {
                "character": each.character,
                "name": each.name,
                "rows": each.rows,
                "extra_segments": each.extra_segments,
            }
            for each in found.culprits
        ],
        "unfilled": dict(found.unfilled),
        "cost": found.cost,
        "balance": balance,
        "samples": [
            {"sender": each.sender, "to": _number(each, show=show), "text": _text(each, show=show)}
            for each in found.samples
        ],
    }


def table(found: Preflight, *, show: bool) -> Iterator[str]:
    """Yield the lines of the table for people. An empty line stands between its parts."""
    yield from _counts(found)
    yield from _sizes(found)
    yield from _culprits(found)
    yield from _troubles(found)
    if found.samples:
        yield ""
        yield "The first messages" + ("" if show else " (numbers are masked, --show shows them)")
        for each in found.samples:
            text = _text(each, show=show)
            shown = text if len(text) <= _SHOWN_TEXT else f"{text[:_SHOWN_TEXT]}..."
            yield f"  {printable(each.sender)} to {_number(each, show=show)}: {printable(shown)}"


def in_short(found: Preflight, *, unique: bool) -> Iterator[str]:
    """Yield what a file would cost more than its reader may expect, for `devino send` without a terminal."""
    if found.repeated and not unique:
        where = "; ".join(f"line {each.line} has that of line {each.first_line}" for each in found.repeats[:3])
        yield f"{counted(found.repeated, 'row')} with a number that came before: {where}. --unique leaves them out"
    dear = [each for each in found.culprits if each.extra_segments]
    for each in dear[:3]:
        yield f"{_named(each)} costs {counted(each.extra_segments, 'segment')} more in {counted(each.rows, 'row')}"
    for name, rows in list(found.unfilled.items())[:3]:
        yield f"{printable(name)} would go out as it is in {counted(rows, 'row')}"
    if found.unmatched:
        yield unmatched(found)


def between(least: int | Decimal, most: int | Decimal | None) -> str:
    """Return a range, or one number if both are the same."""
    shown = [money(each) if isinstance(each, Decimal) else f"{each:,}" for each in (least, most) if each is not None]
    return " to ".join(dict.fromkeys(shown))


def _counts(found: Preflight) -> Iterator[str]:
    yield _line("rows", found.rows)
    yield _line("valid", found.valid)
    if found.invalid:
        late = f", {found.scheduled_in_the_past:,} of them scheduled in the past" if found.scheduled_in_the_past else ""
        yield _line("invalid", found.invalid, late)
    if found.excluded:
        yield _line("excluded", found.excluded, ", on a stop list")
    yield _line("recipients", found.recipients)
    if found.repeated:
        yield _line("repeated", found.repeated, ", their number came before")
    why = ", by how the operator counts Latin texts" if found.segments_max != found.segments else ""
    yield _line("segments", between(found.segments, found.segments_max), why)
    if found.cost is not None:
        yield _line("cost", between(found.cost, found.cost_max))


def _sizes(found: Preflight) -> Iterator[str]:
    for name, rows in found.alphabets.items():
        if rows:
            segments = counted(found.segments_by_alphabet[name], "segment")
            yield _line(name, f"{counted(rows, 'row')}, {segments}")
    if set(found.sizes) - {1}:
        yield ""
        yield "Segments of a message"
        for size, rows in list(found.sizes.items())[:_SHOWN_KINDS]:
            yield f"  {size:>3,}: {counted(rows, 'row')}"
        rest = sum(list(found.sizes.values())[_SHOWN_KINDS:])
        if rest:
            yield f"  more: {counted(rest, 'row')}"


def _culprits(found: Preflight) -> Iterator[str]:
    if not found.culprits:
        return
    yield ""
    yield "Characters that are not in the Latin alphabet of SMS (GSM-7), in texts that are Latin otherwise"
    for each in found.culprits[:_SHOWN_KINDS]:
        extra = f", {counted(each.extra_segments, 'segment')} more" if each.extra_segments else ", no segment more"
        yield f"  {_named(each)}: {counted(each.rows, 'row')}{extra}{_lines(each.lines, each.rows)}"
    yield from _more(len(found.culprits))
    if any(each.extra_segments and each.plainer is not None for each in found.culprits):
        yield "  --smart replaces such characters where that saves a segment"


def _troubles(found: Preflight) -> Iterator[str]:
    if found.problems:
        yield ""
        yield "Invalid rows"
        for each in found.problems[:_SHOWN_KINDS]:
            yield f"  {counted(each.rows, 'row')}: {printable(each.problem)}{_lines(each.lines, each.rows)}"
        yield from _more(len(found.problems))
    if found.repeats:
        yield ""
        yield "Repeated numbers (--unique sends one message to each)"
        for repeat in found.repeats[:_SHOWN_KINDS]:
            yield f"  line {repeat.line} has the number of line {repeat.first_line}"
        yield from _more(found.repeated)
    if found.unfilled:
        yield ""
        yield "Texts in braces that would go out as they are"
        for name, rows in list(found.unfilled.items())[:_SHOWN_KINDS]:
            yield f"  {printable(mask_phones(name))}: {counted(rows, 'row')}"
        yield from _more(len(found.unfilled))
    if found.unmatched:
        yield ""
        yield unmatched(found)


def unmatched(found: Preflight) -> str:
    """Return how many texts match no template, and where the first are."""
    rows, lines = found.unmatched or 0, found.unmatched_lines
    return f"{counted(rows, 'text')} of no template, which operators may bill as advertising{_lines(lines, rows)}"


def _line(name: str, value: int | str, more: str = "") -> str:
    shown = f"{value:,}" if isinstance(value, int) else value
    return f"{name:11} {shown}{more}"


def _lines(lines: Iterable[int], rows: int) -> str:
    shown = list(lines)[:_SHOWN_LINES]
    more = ", ..." if rows > len(shown) else ""
    return f" (line{'' if rows == 1 else 's'} {', '.join(map(str, shown))}{more})"


def _more(count: int) -> Iterator[str]:
    if count > _SHOWN_KINDS:
        yield f"  and {count - _SHOWN_KINDS:,} more"


def _named(culprit: "CulpritCost") -> str:
    like = f", looks like {culprit.looks_like}" if culprit.looks_like else ""
    character = f"{culprit.character} " if culprit.character.isprintable() and culprit.character.strip() else ""
    return f"{character}{culprit.name}{like}"


def _number(message: "Message", *, show: bool) -> str:
    return message.to if show else mask_phone(message.to) or ""


def _text(message: "Message", *, show: bool) -> str:
    return message.text if show else mask_phones(message.text)
