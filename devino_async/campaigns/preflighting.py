"""Preflight: what a file of messages would send and cost, found in one pass before anything is sent.

Nothing is sent, and the service is not asked. Memory does not grow with the rows, except by about 17 bytes for each
recipient.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import compress
from types import MappingProxyType
from typing import Protocol

from attrs import field, frozen

from ..checks import require_kind
from ..errors import ConfigurationError
from ..protocol.message import Message, missed_schedule
from ..protocol.text import NOT_GSM7, Alphabet, Culprit, culprits_of, segments, segments_of
from ..protocol.typography import plainer
from .preflight_results import BadRows, CulpritCost, Preflight, Repeat, Selection
from .recipients import Recipients
from .sender_templates import SenderTemplates

__all__ = ["CheckedRow", "PreflightPass", "preflight"]

# How many rows of each kind of problem are listed. The counts are of all rows.
_MAX_LINES = 20
_MAX_SAMPLES = 3
# How many kinds of problems, culprits and unfilled placeholders are counted separately.
_MAX_KINDS = 1_000
_PLACEHOLDER = re.compile(r"\{[^{}\n]{1,64}\}")
_BEYOND_UFFFF = re.compile("[\U00010000-\U0010ffff]")
# 70 characters of UCS-2, or of GSM-7 with two septets or octets each.
_SURELY_ONE = 70
_DIGITS = re.compile(r"\d+")
_OTHER_PROBLEMS = "other problems"


class CheckedRow(Protocol):
    """A row of a file, as read_messages() gives it."""

    @property
    def line(self) -> int:
        """The line of the row."""

    @property
    def message(self) -> Message | None:
        """The message, if the row is one and is not left out."""

    @property
    def problem(self) -> str | None:
        """Why the row is not a message."""


def preflight(
    rows: Iterable[CheckedRow],
    *,
    price: Decimal | float | str | None = None,
    templates: SenderTemplates | None = None,
    now: datetime | None = None,
) -> Preflight:
    """Return what rows of a file would send and cost. They are read once, and nothing is sent.

    `price` is that of one segment. `templates` are those that are registered for the sender. `now` is the moment with
    which scheduled times are compared, and the present one if it is None.

    This reads the rows to their end and blocks meanwhile. Next to an event loop, call it in a thread, or feed a
    PreflightPass with a few hundred rows at a time.

    Raises ConfigurationError for arguments that cannot be used, and what the rows raise.
    """
    made = PreflightPass(price=price, templates=templates, now=now)
    made.feed(rows)
    return made.result()


@frozen
class _Verdict:
    """What the counts need about a text. Rows in sequence often have the same text."""

    alphabet: Alphabet
    segments: int
    segments_max: int
    culprits: Mapping[str, Culprit]
    extra: int
    unfilled: tuple[str, ...] = field(repr=False)
    is_registered: bool


_ONE_OF_GSM7 = _Verdict(Alphabet.GSM7, 1, 1, {}, 0, (), True)
_ONE_OF_UCS2 = _Verdict(Alphabet.UCS2, 1, 1, {}, 0, (), True)


@frozen
class _Tally:
    """The rows and extra segments of one kind, and its first lines. The two counts are the items of `counts`."""

    shown: str = field(repr=False)
    lines: list[int] = field(factory=list)
    counts: list[int] = field(factory=lambda: [0, 0])

    def add(self, line: int, extra: int = 0) -> None:
        self.counts[0] += 1
        self.counts[1] += extra
        if len(self.lines) < _MAX_LINES:
            self.lines.append(line)


class PreflightPass:
    """Counts rows as they come, one run after the other. `result` may be called at any time.

    With `keep_sizes`, `selection` may be called too. That takes four bytes of memory for each message.
    """

    def __init__(
        self,
        *,
        price: Decimal | float | str | None = None,
        templates: SenderTemplates | None = None,
        now: datetime | None = None,
        keep_sizes: bool = False,
    ) -> None:
        # The segments of each message in both profiles, one after the other.
        self._each: array[int] | None = array("H") if keep_sizes else None
        require_kind("templates", templates, SenderTemplates, optional=True)
        self._price = None if price is None else _price(price)
        self._templates = templates
        self._now = datetime.now(UTC) if now is None else now
        self._counts: Counter[str] = Counter()
        self._alphabets = {each.value: 0 for each in Alphabet}
        self._segments = {each.value: 0 for each in Alphabet}
        self._sizes: Counter[int] = Counter()
        self._recipients = Recipients()
        self._culprits: dict[str, _Tally] = {}
        self._unfilled: dict[str, _Tally] = {}
        self._problems: dict[str, _Tally] = {}
        self._repeats: list[Repeat] = []
        self._unmatched = _Tally("")
        self._samples: list[Message] = []
        self._text = ""
        self._verdict = self._judged("")

    def feed(self, rows: Iterable[CheckedRow]) -> None:
        """Count some more rows. 500 of them take a few milliseconds. With templates, 100 do."""
        for row in rows:
            left_out: str | None = getattr(row, "left_out", None)
            if left_out is not None:
                self._count_left_out(row, left_out)
            elif row.message is None:
                self._count_bad(row.line, row.problem or _OTHER_PROBLEMS)
            elif row.message.scheduled_time is not None and missed_schedule(row.message, self._now) is not None:
                self._counts["scheduled_in_the_past"] += 1
                self._count_bad(row.line, "scheduledTime: scheduledTime.is.invalid (is in the past)")
                if self._each is not None:
                    self._each.extend((0, 0))
            else:
                self._count_message(row.line, row.message)

    def selection(self, going: bytes) -> Selection:
        """Return what the messages cost for which `going` has a byte that is not 0, or all if it is empty.

        `going` has a byte for each row with a message, in the order of the rows.
        """
        if self._each is None or not going:
            counts = self._counts
            rows = sum(self._alphabets.values())
            return Selection(rows=rows, segments=sum(self._segments.values()), segments_max=counts["segments_max"])
        most = list(compress(self._each[1::2], going))
        return Selection(
            rows=len(most) - most.count(0), segments=sum(compress(self._each[::2], going)), segments_max=sum(most)
        )

    def result(self) -> Preflight:
        """Return what the rows so far would send and cost."""
        counts, total = self._counts, sum(self._segments.values())
        culprits = [
            CulpritCost(
                character=character, name=tally.shown, rows=rows, extra_segments=extra, lines=tuple(tally.lines)
            )
            for character, tally in self._culprits.items()
            for rows, extra in [tally.counts]
        ]
        problems = [
            BadRows(problem=tally.shown, rows=tally.counts[0], lines=tuple(tally.lines))
            for tally in self._problems.values()
        ]
        return Preflight(
            rows=counts["valid"] + counts["invalid"] + counts["excluded"],
            valid=counts["valid"],
            invalid=counts["invalid"],
            recipients=len(self._recipients),
            repeated=counts["repeated"],
            excluded=counts["excluded"],
            scheduled_in_the_past=counts["scheduled_in_the_past"],
            segments=total,
            segments_max=counts["segments_max"],
            alphabets=MappingProxyType(dict(self._alphabets)),
            segments_by_alphabet=MappingProxyType(dict(self._segments)),
            sizes=MappingProxyType(dict(sorted(self._sizes.items()))),
            culprits=tuple(sorted(culprits, key=lambda each: (-each.extra_segments, -each.rows, each.character))),
            unfilled=MappingProxyType({name: tally.counts[0] for name, tally in self._unfilled.items()}),
            cost=None if self._price is None else self._price * total,
            cost_max=None if self._price is None else self._price * counts["segments_max"],
            unmatched=None if self._templates is None else self._unmatched.counts[0],
            problems=tuple(sorted(problems, key=lambda each: -each.rows)),
            repeats=tuple(self._repeats),
            unmatched_lines=tuple(self._unmatched.lines),
            samples=tuple(self._samples),
        )

    def _count_bad(self, line: int, problem: str) -> None:
        self._counts["invalid"] += 1
        # Problems of one kind differ in positions and counts.
        kind = _DIGITS.sub("0", problem)
        if kind not in self._problems and len(self._problems) >= _MAX_KINDS:
            kind = problem = _OTHER_PROBLEMS
        self._problems.setdefault(kind, _Tally(problem)).add(line)

    def _count_left_out(self, row: CheckedRow, left_out: str) -> None:
        if left_out == "excluded":
            self._counts["excluded"] += 1
            return
        held: Message | None = getattr(row, "held", None)
        self._counts["valid"] += 1
        self._counts["repeated"] += 1
        if held is not None:
            self._count_recipient(row.line, held.to)

    def _count_recipient(self, line: int, number: str) -> bool:
        """Return whether the number has come before."""
        first = self._recipients.first_line(number, line)
        if first is not None and len(self._repeats) < _MAX_LINES:
            self._repeats.append(Repeat(line=line, first_line=first))
        return first is not None

    def _count_message(self, line: int, message: Message) -> None:
        counts = self._counts
        counts["valid"] += 1
        counts["repeated"] += self._count_recipient(line, message.to)
        if len(self._samples) < _MAX_SAMPLES:
            self._samples.append(message)
        text = message.text
        if text != self._text:
            self._text, self._verdict = text, self._judged(text)
        verdict = self._verdict
        self._alphabets[verdict.alphabet] += 1
        self._segments[verdict.alphabet] += verdict.segments
        self._sizes[verdict.segments] += 1
        counts["segments_max"] += verdict.segments_max
        if self._each is not None:
            self._each.extend((verdict.segments, verdict.segments_max))
        if verdict.culprits:
            for culprit in verdict.culprits.values():
                _add(self._culprits, culprit.character, culprit.name, line, verdict.extra)
        for name in verdict.unfilled:
            _add(self._unfilled, name, name, line)
        if not verdict.is_registered:
            self._unmatched.add(line)

    def _judged(self, text: str) -> _Verdict:
        # The usual short text has one segment in either profile. Judging it alone is twice as fast.
        if len(text) <= _SURELY_ONE and self._templates is None and "{" not in text:
            if NOT_GSM7.search(text) is None:
                return _ONE_OF_GSM7
            if _BEYOND_UFFFF.search(text) is None and not culprits_of(text):
                return _ONE_OF_UCS2
        found = segments(text)
        # Most GSM-7 texts fit into one segment in either profile.
        is_short = found.alphabet is Alphabet.UCS2 or found.units <= 140
        most = found.count if is_short else segments(text, profile="octet").count
        plain = segments_of(NOT_GSM7.sub(_stand_in, text)) if found.culprits else found.count
        return _Verdict(
            found.alphabet,
            found.count,
            most,
            {each.character: each for each in found.culprits},
            # An ellipsis becomes three characters, which may even cost more.
            max(0, found.count - plain),
            tuple(dict.fromkeys(_PLACEHOLDER.findall(text))) if "{" in text else (),
            self._templates is None or self._templates.matches(text),
        )


def _add(tallies: dict[str, _Tally], key: str, shown: str, line: int, extra: int = 0) -> None:
    if key in tallies or len(tallies) < _MAX_KINDS:
        tallies.setdefault(key, _Tally(shown)).add(line, extra)


def _stand_in(match: re.Match[str]) -> str:
    """What the text would have in place of a culprit: its plainer form, or else any one character of GSM-7."""
    plain = plainer(match[0])
    return "?" if plain is None else plain


def _price(value: Decimal | float | str) -> Decimal:
    try:
        price = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or price < 0:
        raise ConfigurationError("price must be a number of at least 0, such as 4.20: the price of one segment")
    return price
