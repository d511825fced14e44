"""Matching: which rows of the service's details are messages in doubt. Pure, and told everything that it knows.

A row is evidence only if it fits one message, or as many equal ones as there are rows. What fits in two ways settles
nothing. Nor does an id that is on rows of two recipients. How rows are read, and what is then written down, is
reconciling.py's.
"""

import re
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from math import ceil, floor

from attrs import field, frozen

from ..protocol.detail_rows import DetailRow, DetailStatus

__all__ = ["ANY_ZONE", "SLACK", "ZONE_STEP", "Doubt", "Matcher", "Post", "Verdict", "seconds_of", "zones_of"]

# How far the clocks of this machine and the service may differ, and what rounding adds, in seconds.
SLACK = 120.0
# Zones are multiples of a quarter of an hour, and none is further than 14 hours from UTC.
ZONE_STEP = 900
_STEPS_AN_HOUR = 4
ANY_ZONE = range(-56, 57)
# Read in these zones, a row of the day before looks like one of today, if its time of day is up to two hours later.
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


# Where a row fits: the number of a group, and the first and the last zone in which it does. If the row has
# no time, the zones are _NO_ZONE, an empty range.
_Fit = tuple[int, int, int]
_NO_ZONE = (1, 0)
# When a row was sent, by the clock of the service, and where it fits. Numbers alone: 32,000 rows of objects would cost
# the garbage collector a third of a second at a time.
_Row = tuple[float, tuple[_Fit, ...]]


class _Groups:
    """Equal messages of one POST with one scheduled time make a group, which has a number."""

    def __init__(self) -> None:
        self.posts: list[int] = []
        self.contents: list[bytes] = []
        # When a row may have been sent, and accepted, in UTC.
        self.sent: list[tuple[float, float]] = []
        self.accepted: list[tuple[float, float]] = []
        self._places: list[int] = []
        self._more: dict[int, list[int]] = {}

    def append(self, post: int, content: bytes, sent: tuple[float, float], accepted: tuple[float, float]) -> int:
        """Add a group without places, and return its number."""
        self.posts.append(post)
        self.contents.append(content)
        self.sent.append(sent)
        self.accepted.append(accepted)
        self._places.append(-1)
        return len(self.posts) - 1

    def add(self, group: int, place: int) -> None:
        """Add a message to a group."""
        if self._places[group] < 0:
            self._places[group] = place
        else:
            self._more.setdefault(group, []).append(place)

    def places(self, group: int) -> list[int]:
        """Return the places of its messages."""
        return [self._places[group], *self._more.get(group, ())]


@frozen
class Verdict:
    """What the rows say, by POST: the id of each place that is found, and the places about which they are unclear.

    `zone` is the one in which the rows make sense. `needs_zone` says that there are several, or none.
    """

    found: Sequence[Mapping[int, str]]
    unclear: Sequence[frozenset[int]]
    zone: int | None = None
    needs_zone: bool = False


class Matcher:
    """Rows against messages in doubt. Feed it all rows of the time in question, in any order, then ask for the verdict.

    `zones` are the possible zones of the service's clock, in quarters of an hour from UTC. They are `proved` if they
    come from known rows or from the user. It keeps the rows that may be evidence, of any other row 16 bytes, and of
    each message a few numbers, but no text, except where links are shortened.
    """

    def __init__(self, posts: Iterable[Post] = (), zones: Collection[int] = ANY_ZONE, *, proved: bool = False) -> None:
        self._zones = frozenset(zones)
        self._proved = proved
        self._groups = _Groups()
        # The groups of each content, as a linked list: its first group, and the group that follows each one.
        self._exact: dict[bytes, int] = {}
        self._next: dict[int, int] = {}
        # The groups with links, by recipient and sender, and their texts.
        self._linked: dict[bytes, list[int]] = {}
        self._texts: dict[int, str] = {}
        self._contested: set[int] = set()
        self._rows: dict[str, _Row] = {}
        # The groups of all rows of an id, at whatever time, and hashes of the id and the recipient of every row.
        self._groups_of_id: dict[str, tuple[int, ...]] = {}
        self._seen = array("q"), array("q")
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
        numbers: dict[tuple[bytes, float | None], int] = {}
        accepted = _window(post.claimed_at, post.seconds)
        for doubt in post.doubts:
            content = _digest(doubt.recipient, doubt.sender, doubt.text)
            group = numbers.get((content, doubt.scheduled))
            if group is None:
                later = doubt.scheduled is not None and doubt.scheduled > post.claimed_at
                sent = _window(doubt.scheduled, post.seconds) if doubt.scheduled and later else accepted
                group = self._groups.append(self._posts, content, sent, accepted)
                numbers[content, doubt.scheduled] = group
                if content in self._exact:
                    self._next[group] = self._exact[content]
                self._exact[content] = group
                if post.shortened and _LINK.search(doubt.text):
                    self._texts[group] = doubt.text
                    self._linked.setdefault(_digest(doubt.recipient, doubt.sender), []).append(group)
            self._groups.add(group, doubt.place)
        self._posts += 1

    def contest(self, post: Post) -> None:
        """Let nothing be found that may be of this POST instead, because it is being sent now."""
        for doubt in post.doubts:
            self._contested.update(self._groups_of(doubt.recipient, doubt.sender, doubt.text))

    def feed(self, row: DetailRow) -> None:
        """Look at one row. The last row of an id counts, as rows change while they are read."""
        if row.sent_date_time is not None and row.status in _WAS_SENT:
            self._newest = max(self._newest, seconds_of(row.sent_date_time))
        if row.message_id is None or row.recipient is None:
            return
        recipient = row.recipient.removeprefix("+")
        self._seen[0].append(hash(row.message_id))
        self._seen[1].append(hash(recipient))
        if row.source_address is None or row.text is None:
            return
        groups = self._groups_of(recipient, row.source_address, row.text)
        if not groups:
            return
        self._groups_of_id[row.message_id] = (*{*groups, *self._groups_of_id.get(row.message_id, ())},)
        # What was not sent yet has only the time of its last event, which is soon after its acceptance.
        when = row.sent_date_time or row.event_date_time
        if when is None:
            self._rows[row.message_id] = 0.0, tuple((group, *_NO_ZONE) for group in groups)
            return
        at = seconds_of(when)
        windows = self._groups.accepted if row.sent_date_time is None else self._groups.sent
        zones = ((group, zones_of(at, windows[group])) for group in groups)
        fits = tuple((group, some[0], some[-1]) for group, some in zones if not self._zones.isdisjoint(some))
        if fits:
            self._rows[row.message_id] = at, fits
        else:
            self._rows.pop(row.message_id, None)

    def _groups_of(self, recipient: str, sender: str, text: str) -> Sequence[int]:
        group = self._exact.get(_digest(recipient, sender, text))
        groups = []
        while group is not None:
            groups.append(group)
            group = self._next.get(group)
        if groups or not self._linked:
            return groups
        linked = self._linked.get(_digest(recipient, sender), ())
        return [each for each in linked if _is_shortened(self._texts[each], text)]

    def verdict(self, known: Collection[str] = frozenset(), *, now: float) -> Verdict:
        """Return what the rows say. Those whose ids are `known` belong to other messages.

        `now` is the time after the last row was read.
        """
        zones = self._zones
        if not self._proved:
            # In all other zones, the account's newest row would lie in the future.
            zones = frozenset(each for each in zones if self._newest - each * ZONE_STEP <= now + SLACK)
        shared = self._shared()
        rows = {each: row for each, row in self._rows.items() if each not in known and _may_fit(row, zones)}
        zone = self._zone(rows, zones)
        found: list[dict[int, str]] = [{} for _ in range(self._posts)]
        # A group is unclear if a row of it has no time at all. Without a zone, all groups with rows are unclear,
        # because the rows make sense in no zone, or in several.
        unclear = [fit[0] for _, fits in rows.values() for fit in fits if zone is None or fit[1:] == _NO_ZONE]
        unclear += shared
        # Without a zone, no row belongs to a group here.
        for ids, groups in _components(rows, zone):
            pairs = self._paired(rows, ids, groups, zone) if shared.isdisjoint(groups) else None
            if pairs is None:
                unclear += groups
            for group, place, each in pairs or ():
                found[self._groups.posts[group]][place] = each
        places: list[set[int]] = [set() for _ in range(self._posts)]
        for group in unclear:
            places[self._groups.posts[group]].update(self._groups.places(group))
        left = (frozenset(some - ids.keys()) for some, ids in zip(places, found, strict=True))
        needs_zone = zone is None and any(fit[1:] != _NO_ZONE for _, fits in rows.values() for fit in fits)
        return Verdict(found, list(left), zone, needs_zone)

    def _shared(self) -> frozenset[int]:
        """Return the groups with a row whose id is also on a row of another recipient."""
        ids = {hash(each): each for each in self._groups_of_id}
        recipients: dict[int, int] = {}
        shared: set[int] = set()
        for each, recipient in zip(*self._seen, strict=True):
            if each in ids and recipients.setdefault(each, recipient) != recipient:
                shared.update(self._groups_of_id[ids[each]])
        return frozenset(shared)

    def _zone(self, rows: Mapping[str, _Row], possible: frozenset[int]) -> int | None:
        """Return the one zone in which the rows make sense, or None. The rows of all POSTs must agree on it."""
        counts: Counter[int] = Counter()
        for _, some in rows.values():
            for _, first, last in some:
                counts.update(possible.intersection(range(first, last + 1)))
        if not counts:
            return None
        # Most zones are whole hours. If the rows fit in several, it does not matter which one is taken.
        best = max(counts, key=lambda zone: (counts[zone], zone % _STEPS_AN_HOUR == 0, -abs(zone)))
        for _, some in rows.values():
            for _, first, last in some:
                if not first <= best <= last and not possible.isdisjoint(range(first, last + 1)):
                    return None
        return None if not self._proved and best in _NEEDS_PROOF else best

    def _paired(
        self, rows: Mapping[str, _Row], ids: Sequence[str], groups: Sequence[int], zone: int | None
    ) -> list[tuple[int, int, str]] | None:
        """Return which row is which message, or None if that is unclear.

        Equal messages are settled by count. Those of several POSTs are found only if there is a row for each.
        """
        ordered = sorted(groups, key=self._groups.sent.__getitem__)
        slots = [(group, place) for group in ordered for place in self._groups.places(group)]
        alike = len({self._groups.contents[group] for group in groups}) == 1
        if not self._contested.isdisjoint(groups):
            return None
        if len(ids) > len(slots) or not alike or (len(groups) > 1 and len(ids) < len(slots)):
            return None
        by_time = sorted(ids, key=lambda each: (rows[each][0], each))
        pairs = [(group, place, each) for (group, place), each in zip(slots, by_time, strict=False)]
        return pairs if all(group in _fitting(rows[each], zone) for group, _, each in pairs) else None


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


def _may_fit(row: _Row, possible: frozenset[int]) -> bool:
    """Return whether a row fits in any of these zones, or has no time at all."""
    return any(fit[1:] == _NO_ZONE or not possible.isdisjoint(range(fit[1], fit[2] + 1)) for fit in row[1])


def _fitting(row: _Row, zone: int | None) -> list[int]:
    """Return the groups that a row fits in this zone."""
    return [] if zone is None else [group for group, first, last in row[1] if first <= zone <= last]


def _components(rows: Mapping[str, _Row], zone: int | None) -> Iterator[tuple[list[str], list[int]]]:
    """Yield the rows and the groups that hang together, because a row fits several groups."""
    # Nearly every group has one row, so that its list would be a burden to the garbage collector.
    first_of: dict[int, str] = {}
    more_of: dict[int, list[str]] = {}
    for each, row in rows.items():
        for group in _fitting(row, zone):
            if group in first_of:
                more_of.setdefault(group, []).append(each)
            else:
                first_of[group] = each
    seen: set[int] = set()
    for first in first_of:
        if first in seen:
            continue
        seen.add(first)
        groups, ids = [first], dict[str, None]()
        for group in groups:
            for each in (first_of[group], *more_of.get(group, ())):
                ids[each] = None
                more = [other for other in _fitting(rows[each], zone) if other not in seen]
                seen.update(more)
                groups += more
        yield list(ids), groups
