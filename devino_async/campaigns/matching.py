"""Matching: which rows of the service's details are messages in doubt. Pure, and told everything that it knows.

A row is evidence only if it fits one message, or as many equal ones as there are rows. What fits in two ways settles
nothing. How rows are read, and what is then written down, is reconciling.py's.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from math import ceil, floor

from attrs import define, field, frozen

from ..protocol.detail_rows import DetailRow, DetailStatus

__all__ = ["ANY_ZONE", "SLACK", "ZONE_STEP", "Doubt", "Matcher", "Post", "Verdict", "seconds_of", "zones_of"]

# How far the clocks of this machine and the service may differ, and what rounding adds, in seconds.
SLACK = 120.0
# Zones are multiples of a quarter of an hour, and none is further than 14 hours from UTC.
ZONE_STEP = 900
ANY_ZONE = range(-56, 57)
# In these zones, rows of the day before, sent up to two hours later in their day, look like rows of today.
_NEEDS_PROOF = range(-56, -31)
# Statuses that a message does not have before it was sent.
_WAS_SENT = {DetailStatus.DELIVERED, DetailStatus.UNDELIVERED, DetailStatus.REDIRECT}
# What may be a link, in a wide sense. The service decides what it shortens.
_LINK = re.compile(r"\S*(?:://|\S\.\S)\S*")


@frozen
class Doubt:
    """A message in doubt: its place in its POST, and what a row of it says. `scheduled` is in seconds since 1970."""

    place: int
    recipient: str = field(repr=False)
    sender: str
    text: str = field(repr=False)
    scheduled: float | None = None


@frozen(eq=False)
class Post:
    """The messages in doubt of one POST, which was claimed at this time and took up to so many seconds."""

    claimed_at: float
    seconds: float
    doubts: Iterable[Doubt] = field(repr=False)
    shortened: bool = False


@define(eq=False)
class _Group:
    """Equal messages of one POST with one scheduled time, and when a row of them may have been sent, in UTC."""

    post: int
    content: bytes
    sent: tuple[float, float]
    accepted: tuple[float, float]
    text: str = field(default="", repr=False)
    places: list[int] = field(factory=list)


@frozen(eq=False)
class _Row:
    """A row that may be evidence: when it was sent, by the clock of the service, and the zones in which it fits."""

    at: float
    fits: tuple[tuple[_Group, range], ...]

    def may_fit(self, possible: frozenset[int]) -> bool:
        """Whether it fits in any of these zones, or has no time at all."""
        return any(not zones or not possible.isdisjoint(zones) for _, zones in self.fits)


@frozen
class Verdict:
    """What the rows say, by POST: the id of each place that is found, and the places about which they are unclear."""

    found: Sequence[Mapping[int, str]]
    unclear: Sequence[frozenset[int]]
    zone: int | None = None


class Matcher:
    """Rows against messages in doubt. Feed it all rows of the time in question, in any order, then ask for the verdict.

    `zones` are the possible zones of the service's clock, in quarters of an hour from UTC. They are `proved` if they
    come from known rows or from the user. It keeps the rows that may be evidence, and of each message a few numbers,
    but no text, except where links are shortened.
    """

    def __init__(self, posts: Iterable[Post] = (), zones: Collection[int] = ANY_ZONE, *, proved: bool = False) -> None:
        self._zones = frozenset(zones)
        self._proved = proved
        self._exact: dict[bytes, list[_Group]] = {}
        self._linked: dict[bytes, list[_Group]] = {}
        self._rows: dict[str, _Row] = {}
        self._newest = float("-inf")
        self._posts = 0
        for post in posts:
            self.add(post)

    @property
    def ids(self) -> Collection[str]:
        """The ids of the rows that may be evidence. The verdict needs to know which of them the journal knows."""
        return self._rows.keys()

    def add(self, post: Post) -> None:
        """Add the messages in doubt of one more POST. The verdict numbers POSTs in this order."""
        groups: dict[tuple[bytes, float | None], _Group] = {}
        accepted = _window(post.claimed_at, post.seconds)
        for doubt in post.doubts:
            content = _digest(doubt.recipient, doubt.sender, doubt.text)
            group = groups.get((content, doubt.scheduled))
            if group is None:
                later = doubt.scheduled is not None and doubt.scheduled > post.claimed_at
                sent = _window(doubt.scheduled, post.seconds) if doubt.scheduled and later else accepted
                group = _Group(self._posts, content, sent, accepted)
                groups[content, doubt.scheduled] = group
                self._exact.setdefault(content, []).append(group)
                if post.shortened and _LINK.search(doubt.text):
                    group.text = doubt.text
                    self._linked.setdefault(_digest(doubt.recipient, doubt.sender), []).append(group)
            group.places.append(doubt.place)
        self._posts += 1

    def feed(self, row: DetailRow) -> None:
        """Look at one row. The last row of an id counts, as rows change while they are read."""
        if row.sent_date_time is not None and row.status in _WAS_SENT:
            self._newest = max(self._newest, seconds_of(row.sent_date_time))
        if row.message_id is None or row.recipient is None or row.source_address is None or row.text is None:
            return
        groups = self._groups_of(row.recipient.removeprefix("+"), row.source_address, row.text)
        if not groups:
            return
        # What was not sent yet has only the time of its last event, which is soon after its acceptance.
        when = row.sent_date_time or row.event_date_time
        if when is None:
            self._rows[row.message_id] = _Row(0.0, tuple((group, range(0)) for group in groups))
            return
        at = seconds_of(when)
        fits = []
        for group in groups:
            zones = zones_of(at, group.accepted if row.sent_date_time is None else group.sent)
            if not self._zones.isdisjoint(zones):
                fits.append((group, zones))
        if fits:
            self._rows[row.message_id] = _Row(at, tuple(fits))
        else:
            self._rows.pop(row.message_id, None)

    def _groups_of(self, recipient: str, sender: str, text: str) -> Sequence[_Group]:
        exact = self._exact.get(_digest(recipient, sender, text))
        if exact is not None or not self._linked:
            return exact or ()
        return [each for each in self._linked.get(_digest(recipient, sender), ()) if _is_shortened(each.text, text)]

    def verdict(self, known: Collection[str] = frozenset(), *, now: float) -> Verdict:
        """Return what the rows say. Those whose ids are `known` belong to other messages.

        `now` is the time after the last row was read.
        """
        zones = self._zones
        if not self._proved:
            # The account's newest row would lie in the future in all others.
            zones = frozenset(each for each in zones if self._newest - each * ZONE_STEP <= now + SLACK)
        rows = {each: row for each, row in self._rows.items() if each not in known and row.may_fit(zones)}
        zone = self._zone(rows, zones)
        found: list[dict[int, str]] = [{} for _ in range(self._posts)]
        # Those with a row that has no time at all. Without a zone, the rows make sense nowhere, or in several places.
        unclear = [group for row in rows.values() for group, zones in row.fits if zone is None or not zones]
        for ids, groups in () if zone is None else _components(rows, zone):
            pairs = _paired(rows, ids, groups, zone)
            if pairs is None:
                unclear += groups
            for group, place, each in pairs or ():
                found[group.post][place] = each
        places: list[set[int]] = [set() for _ in range(self._posts)]
        for group in unclear:
            places[group.post].update(group.places)
        left = (frozenset(some - ids.keys()) for some, ids in zip(places, found, strict=True))
        return Verdict(found, list(left), zone)

    def _zone(self, rows: Mapping[str, _Row], possible: frozenset[int]) -> int | None:
        """Return the one zone in which the rows make sense, or None. The rows of all POSTs must agree on it."""
        fits: dict[int, set[tuple[str, int]]] = {}
        for each, row in rows.items():
            for group, zones in row.fits:
                for zone in possible.intersection(zones):
                    fits.setdefault(zone, set()).add((each, id(group)))
        if not fits:
            return None
        best = max(fits, key=lambda zone: (len(fits[zone]), -abs(zone)))
        if not all(some <= fits[best] for some in fits.values()):
            return None
        return None if not self._proved and best in _NEEDS_PROOF else best


def seconds_of(moment: datetime) -> float:
    """Return a date of the service in seconds. One without a zone is read as if it were UTC."""
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def zones_of(at: float, window: tuple[float, float]) -> range:
    """Return the zones in which a clock shows `at` at some time of this window."""
    return range(ceil((at - window[1]) / ZONE_STEP), floor((at - window[0]) / ZONE_STEP) + 1)


def _window(start: float, seconds: float) -> tuple[float, float]:
    return start - SLACK, start + seconds + SLACK


def _digest(*parts: str) -> bytes:
    form = " ".join(f"{len(each)} {each}" for each in parts)
    return blake2b(form.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _is_shortened(text: str, shown: str) -> bool:
    """Return whether the shown text is this one with other words in place of its links."""
    frame = r"\S+".join(map(re.escape, _LINK.split(text)))
    return re.fullmatch(frame, shown) is not None


def _components(rows: Mapping[str, _Row], zone: int) -> Iterator[tuple[list[str], list[_Group]]]:
    """Yield the rows and the groups that hang together, because a row fits several groups."""
    edges = {each: [group for group, zones in row.fits if zone in zones] for each, row in rows.items()}
    of_group: dict[int, list[str]] = {}
    for each, groups in edges.items():
        for group in groups:
            of_group.setdefault(id(group), []).append(each)
    seen: set[str] = set()
    for first, its_groups in edges.items():
        if first in seen or not its_groups:
            continue
        ids: list[str] = []
        met: dict[int, _Group] = {}
        waiting = [first]
        seen.add(first)
        while waiting:
            each = waiting.pop()
            ids.append(each)
            for group in edges[each]:
                if id(group) not in met:
                    met[id(group)] = group
                    more = [other for other in of_group[id(group)] if other not in seen]
                    seen.update(more)
                    waiting += more
        yield ids, list(met.values())


def _paired(
    rows: Mapping[str, _Row], ids: Sequence[str], groups: Sequence[_Group], zone: int | None
) -> list[tuple[_Group, int, str]] | None:
    """Return which row is which message, or None if that is unclear.

    Equal messages are settled by count. Those of several POSTs are found only if there is a row for each.
    """
    slots = [(group, place) for group in sorted(groups, key=lambda group: group.sent) for place in group.places]
    alike = len({group.content for group in groups}) == 1
    if len(ids) > len(slots) or not alike or (len(groups) > 1 and len(ids) < len(slots)):
        return None
    ordered = sorted(ids, key=lambda each: (rows[each].at, each))
    pairs = [(group, place, each) for (group, place), each in zip(slots, ordered, strict=False)]
    fit = all(any(other is group and zone in zones for other, zones in rows[each].fits) for group, _, each in pairs)
    return pairs if fit else None
