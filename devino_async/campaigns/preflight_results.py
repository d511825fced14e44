"""What a preflight found: the counts of a file, what makes it cost more, and the first rows with each kind of problem.

The counting is in preflighting.py.
"""

from collections.abc import Mapping
from decimal import Decimal

from attrs import field, frozen

from ..protocol.message import Message
from ..protocol.text import LOOK_ALIKES
from ..protocol.typography import plainer

__all__ = ["BadRows", "CulpritCost", "Preflight", "Repeat", "Selection"]


@frozen(kw_only=True)
class CulpritCost:
    """A character that makes texts cost more: in how many rows, and how many more segments they have than in GSM-7.

    A row with several such characters counts for each of them, because all must go before it costs less.
    `lines` are the first lines.
    """

    character: str
    name: str
    rows: int
    extra_segments: int
    lines: tuple[int, ...]

    @property
    def looks_like(self) -> str | None:
        """The Latin letter that this letter of another alphabet looks like, or None."""
        return LOOK_ALIKES.get(self.character)

    @property
    def plainer(self) -> str | None:
        """What `suggest` would replace the character with, or None."""
        return plainer(self.character)


@frozen(kw_only=True)
class BadRows:
    """Rows with one kind of problem. `problem` is that of the first. `lines` are the first lines."""

    problem: str
    rows: int
    lines: tuple[int, ...]


@frozen(kw_only=True)
class Repeat:
    """A row whose recipient has come before, on `first_line`."""

    line: int
    first_line: int


@frozen(kw_only=True)
class Selection:
    """Some of the messages: how many there are, and their segments in both profiles."""

    rows: int
    segments: int
    segments_max: int


@frozen(kw_only=True)
class Preflight:
    """What a file of messages would send and cost.

    - `rows` are all rows: those that are `valid`, `invalid` or `excluded`. Repeated rows are valid.
    - `recipients` is how many different numbers the valid rows have. `repeated` rows have the number of an earlier row.
    - `scheduled_in_the_past` is how many invalid rows have a time that was over a minute ago.
    - `segments` are those of all rows that would go out, with 160 or 153 characters of GSM-7 in each. `segments_max`
      are those with 140 or 134, as some gateways count. `alphabets` says how many rows go out in which alphabet, and
      `segments_by_alphabet` how many segments. `sizes` has the number of rows by their number of segments.
    - `culprits` are characters that force UCS-2 on texts that would be GSM-7 otherwise, the most costly first.
    - `unfilled` are texts in braces that would go out as they are, with the number of rows.
    - `cost` is the price of all segments, and `cost_max` that of `segments_max`. Both are None without a price.
    - `unmatched` is how many rows match none of the sender's templates, or None without templates.
    - `problems` are the kinds of invalid rows, the most frequent first.
    - `repeats` and `unmatched_lines` are the first of these rows. `samples` are the first three messages.
    """

    rows: int
    valid: int
    invalid: int
    recipients: int
    repeated: int
    excluded: int
    scheduled_in_the_past: int
    segments: int
    segments_max: int
    alphabets: Mapping[str, int]
    segments_by_alphabet: Mapping[str, int]
    sizes: Mapping[int, int]
    culprits: tuple[CulpritCost, ...]
    unfilled: Mapping[str, int] = field(repr=lambda unfilled: f"<{len(unfilled)} placeholders>")
    cost: Decimal | None
    cost_max: Decimal | None
    unmatched: int | None
    problems: tuple[BadRows, ...] = field(repr=lambda problems: f"<{len(problems)} kinds>")
    repeats: tuple[Repeat, ...] = field(repr=False)
    unmatched_lines: tuple[int, ...] = field(repr=False)
    samples: tuple[Message, ...] = field(repr=lambda samples: f"<{len(samples)} messages>")
