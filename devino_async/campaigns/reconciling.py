"""Reconciling: what is in doubt is looked up in the service's details, and settled by the rows that are found.

The rules of evidence are matching.py's. Here is where rows are looked for, how they are read, and the report. A message
that is not found stays in doubt, because rows may appear late: nothing found is proof of nothing.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from attrs import evolve, frozen

from ..errors import CampaignChanged, JournalError, KeyConflict, Refused
from ..flow.ownership import to_the_end
from ..flow.steps import Turns
from ..protocol.detail_rows import DetailRow
from ..protocol.details import DetailPage, DetailQuery
from .blobs import SCHEDULED
from .evidence import InDoubt
from .journal import Journal
from .matching import ANY_ZONE, SLACK, ZONE_STEP, Doubt, Matcher, Post, seconds_of, zones_of
from .page_limits import TooManyRows, up_to
from .reconcile_report import Outcomes, ReconcileReport, Searched
from .states import State

__all__ = ["Reconciling"]

Pages = Callable[[DetailQuery], AsyncIterator[DetailPage]]
_MESSAGES_A_STEP = 256
_ROWS_A_STEP = 64
_MAX_READINGS = 3
# A range of dates with more rows is given up. Rows that show the zone need not be many.
_MAX_ROWS = 5_000_000
_MAX_ZONE_ROWS = 10_000
# About how many bytes a message has. This is used where the message itself is gone.
_MESSAGE_BYTES = 300


@frozen(eq=False)
class _Case:
    """A POST with messages in doubt, and the times in which rows of it may have been sent, in UTC."""

    doubt: InDoubt
    seconds: float
    is_wanted: bool
    # The first and the last of scheduled times that lie close together. All of them would be thousands of windows.
    schedules: Sequence[tuple[float, float]] = ()

    @property
    def is_open(self) -> bool:
        """Whether it is to be settled. What another process is sending now is left to that process."""
        return self.is_wanted and not self.doubt.is_live

    def post(self) -> Post:
        """Return it as the matcher needs it."""
        doubts = _doubts_of(self.doubt.lines, self.doubt.places)
        return Post(self.doubt.claimed_at, self.seconds, doubts, self.doubt.shortened)

    def windows(self, zones: Sequence[int]) -> Iterator[tuple[float, float]]:
        """Yield the times to look at, by the clock of the service, in these zones."""
        for first, last in ((self.doubt.claimed_at, self.doubt.claimed_at), *self.schedules):
            yield first - SLACK + min(zones) * ZONE_STEP, last + self.seconds + SLACK + max(zones) * ZONE_STEP


class Reconciling:
    """Looks up what one journal has in doubt at one address.

    `pages` gives all rows of a query, page by page. `total_for` gives the seconds that an attempt may take, by size.
    `has_zone` says that the user named the zone of the service's dates. Ranges with more than `max_rows` are given up.
    """

    def __init__(
        self,
        journal: Journal,
        address: str,
        pages: Pages,
        *,
        turns: Turns,
        total_for: Callable[[int], float],
        has_zone: bool,
        now: Callable[[], float] = time.time,
        max_rows: int = _MAX_ROWS,
    ) -> None:
        self._journal = journal
        self._evidence = journal.evidence
        self._address = address
        self._pages = pages
        self._turns = turns
        self._total_for = total_for
        self._has_zone = has_zone
        self._now = now
        self._max_rows = max_rows
        self._settled = Outcomes(State.ACCEPTED)
        self._absent = Outcomes(State.UNCONFIRMED)
        self._unclear = Outcomes(State.UNCONFIRMED)
        self._arrived = self._without_zone = self._unread = 0
        self._searched: list[Searched] = []
        self._agreed: set[timedelta] = set()

    async def run(self, campaign: str | None, key: str | None) -> ReconcileReport:
        """Settle what can be settled of a campaign, a key, or all keyed sends.

        Raises JournalError for a campaign or key that the journal does not have, CampaignChanged or KeyConflict for one
        of another address, JournalFailed, and CallFailed if a look-up fails. What was settled before that stays so.
        """
        began = self._now()
        await self._check(campaign, key)
        cases = [case async for case in self._cases(campaign, key)]
        under_way = sum(len(case.doubt.places) for case in cases if case.is_wanted and case.doubt.is_live)
        for some in _overlapping(cases, ANY_ZONE):
            zones, proved = await self._zones_of(some)
            for fewer in _overlapping(some, zones):
                await self._settle(fewer, zones, proved, began)
        return ReconcileReport(
            settled=self._settled,
            absent=self._absent,
            unclear=self._unclear,
            arrived=self._arrived,
            under_way=under_way,
            searched=tuple(self._searched),
            without_zone=self._without_zone,
            unread=self._unread,
            agreed=tuple(sorted(self._agreed)),
        )

    async def _check(self, campaign: str | None, key: str | None) -> None:
        if campaign is not None:
            states = [each for each in await self._journal.campaigns() if each.name == campaign]
            if not states:
                raise JournalError(f"the journal has no campaign {campaign!r}")
            if states[0].address != self._address:
                raise CampaignChanged(0, "address")
        elif key is not None:
            record = (await self._journal.find_keys([key])).get(key)
            if record is None:
                raise JournalError("the journal does not know this key")
            if record.address != self._address:
                raise KeyConflict("the key was sent to another address")

    async def _cases(self, campaign: str | None, key: str | None) -> AsyncIterator[_Case]:
        """Yield all that is in doubt. What is not asked for competes for the same rows."""
        async for doubt in self._evidence.in_doubt(self._address):
            if doubt.campaign is not None or campaign is not None:
                yield await self._case(doubt, doubt.campaign == campaign)
            elif key is None:
                yield await self._case(doubt, is_wanted=True)
            else:
                for some, is_wanted in _apart(doubt, key):
                    yield await self._case(some, is_wanted)
            await self._turns.give()

    async def _case(self, doubt: InDoubt, is_wanted: bool) -> _Case:
        until = doubt.claimed_until
        size = sum(map(len, doubt.lines)) + _MESSAGE_BYTES * (doubt.count - len(doubt.lines))
        seconds = self._total_for(size) if until is None else max(0.0, until - doubt.claimed_at)
        # In a thread, because 32,000 scheduled messages take a fifth of a second.
        schedules = await asyncio.to_thread(_schedules_of, doubt, seconds + 2 * SLACK)
        return _Case(doubt, seconds, is_wanted, schedules)

    async def _zones_of(self, cases: Sequence[_Case]) -> tuple[Sequence[int], bool]:
        """Return the zones in which the service's dates may be, and whether that is proved by known rows."""
        if self._has_zone:
            return (0,), True
        claims = [case.doubt.claimed_at for case in cases]
        known = {
            each.message_id: each
            for moment in {min(claims), max(claims)}
            for each in await self._evidence.near(self._address, moment)
            if each.message_id.isdecimal()
        }
        votes: Counter[int] = Counter()
        # A key may be allowed to ask for dates only.
        with suppress(Refused, TooManyRows):
            async for row in self._rows_of(list(known)):
                each = known.get(row.message_id or "")
                if each is not None and row.sent_date_time is not None:
                    seconds = self._total_for(each.count * _MESSAGE_BYTES)
                    window = each.claimed_at - SLACK, each.claimed_at + seconds + SLACK
                    votes.update(zones_of(seconds_of(row.sent_date_time), window))
        # A row that was sent late votes for no zone, or for a wrong one. Around a change of the clocks, two are right.
        most = max((votes[zone] for zone in ANY_ZONE), default=0)
        zones = [zone for zone in ANY_ZONE if most and 2 * votes[zone] >= most]
        return (zones, True) if zones else (ANY_ZONE, False)

    async def _rows_of(self, ids: Sequence[str]) -> AsyncIterator[DetailRow]:
        if ids:
            async for page in up_to(_MAX_ZONE_ROWS, self._pages(DetailQuery(message_ids=ids))):
                for row in page.rows:
                    yield row

    async def _settle(self, cases: Sequence[_Case], zones: Sequence[int], proved: bool, began: float) -> None:
        """Read the rows that may be of these POSTs once, and settle what they prove."""
        asked = [case.doubt.lines for case in cases if case.is_open and case.doubt.lines]
        if not asked:
            return
        # One message needs only the rows of its recipient. For more than that, all rows are read once.
        recipient = next(_doubts_of(asked[0])).recipient if sum(map(len, asked)) == 1 else None
        matcher = Matcher(zones=zones, proved=proved)
        doubted = [case for case in cases if not case.doubt.is_live]
        for case in doubted:
            # In a thread, because 32,000 messages take a third of a second. The same holds for the verdict.
            await asyncio.to_thread(matcher.add, case.post())
        windows = _joined([each for case in cases for each in case.windows(zones)])
        if not all([await self._read(matcher, start, end, recipient) for start, end in windows]):
            await self._leave(doubted)
            return
        # An answer will say which rows are theirs. Until then, equal rows are left to them.
        rivals = [case for case in cases if case.doubt.is_live]
        rivals += [case async for case in self._begun_since(began, cases, zones)]
        for rival in rivals:
            await asyncio.to_thread(matcher.contest, rival.post())
        # Read last: what was claimed and settled meanwhile is no rival any more, and its ids are known.
        known = await self._evidence.known(matcher.ids)
        verdict = await asyncio.to_thread(matcher.verdict, known, now=self._now())
        for case, found, unclear in zip(doubted, verdict.found, verdict.unclear, strict=True):
            if case.is_wanted:
                # Not cut short by a cancelled caller: the rows are used from here on.
                settled = await to_the_end(self._evidence.settle(case.doubt, found))
                await self._report(case.doubt, {place: found[place] for place in settled}, unclear)
                self._without_zone += len(unclear) * verdict.needs_zone
                if settled and verdict.zone is not None and not proved:
                    self._agreed.add(timedelta(seconds=verdict.zone * ZONE_STEP))

    async def _leave(self, cases: Sequence[_Case]) -> None:
        """Leave it all unclear, because a row that was not read could be of any of these messages."""
        for case in cases:
            if case.is_wanted:
                self._unread += len(case.doubt.places)
                await self._report(case.doubt, {}, frozenset(case.doubt.places))

    async def _begun_since(self, began: float, cases: Sequence[_Case], zones: Sequence[int]) -> AsyncIterator[_Case]:
        """Yield the POSTs that began after these cases were read, but whose rows may have been read with theirs."""
        listed = {(case.doubt.token, case.doubt.claimed_at) for case in cases}
        async for doubt in self._evidence.in_doubt(self._address, began - SLACK):
            case = await self._case(doubt, is_wanted=False)
            if (doubt.token, doubt.claimed_at) not in listed and len(_overlapping([*cases, case], zones)) == 1:
                yield case

    async def _read(self, matcher: Matcher, start: float, end: float, recipient: str | None) -> bool:
        """Feed all rows between these times to the matcher. They are read again if pages shifted meanwhile.

        Returns False if there are too many.
        """
        first, last = self._moment(start), self._moment(end + 1)
        query = DetailQuery(date_time_from=first, date_time_to=last, calculate_total_count=True, recipient=recipient)
        rows, complete, stopped = 0, False, False
        for _ in range(_MAX_READINGS):
            rows, total, complete = 0, 0, True
            try:
                async for page in up_to(self._max_rows, self._pages(query)):
                    rows += len(page.rows)
                    if page.total is not None:
                        # When rows disappear, others move up to pages that were read already.
                        complete, total = complete and total <= page.total, page.total
                    for number, row in enumerate(page.rows):
                        matcher.feed(row)
                        if number % _ROWS_A_STEP == 0:
                            await self._turns.give()
            except TooManyRows:
                stopped = True
            complete = complete and total <= rows
            if complete or stopped:
                break
        self._searched.append(Searched(first, last, rows, complete and not stopped, stopped))
        return not stopped

    def _moment(self, seconds: float) -> datetime:
        moment = datetime.fromtimestamp(int(seconds), UTC)
        return moment if self._has_zone else moment.replace(tzinfo=None)

    async def _report(self, doubt: InDoubt, found: dict[int, str], unclear: frozenset[int]) -> None:
        rest = 0
        for number, place in enumerate(doubt.places):
            position = doubt.positions[number] if doubt.campaign is not None else None
            key = None if doubt.campaign is not None else doubt.keys[number]
            if place in found:
                self._settled.append(position, key, found[place])
            else:
                (self._unclear if place in unclear else self._absent).append(position, key)
                rest += 1
            if number % _MESSAGES_A_STEP == 0:
                await self._turns.give()
        if found or doubt.arrived:
            self._arrived += rest


def _apart(doubt: InDoubt, key: str) -> Iterator[tuple[InDoubt, bool]]:
    """Yield what is in doubt of this key, and of the other keys of its POST. They still compete for rows."""
    for is_wanted in (True, False):
        chosen = [at for at, each in enumerate(doubt.keys) if (each == key) is is_wanted]
        if chosen:
            keys, lines = [doubt.keys[at] for at in chosen], [doubt.lines[at] for at in chosen]
            yield evolve(doubt, places=range(len(chosen)), keys=keys, lines=lines), is_wanted


def _doubts_of(lines: Sequence[bytes], places: Sequence[int] | None = None) -> Iterator[Doubt]:
    for place, line in zip(range(len(lines)) if places is None else places, lines, strict=True):
        message = json.loads(line)
        at = message.get("scheduledTime")
        scheduled = None if at is None else datetime.fromisoformat(at).timestamp()
        yield Doubt(place, message["to"], message["from"], message["text"], scheduled)


def _schedules_of(doubt: InDoubt, gap: float) -> list[tuple[float, float]]:
    """Return the scheduled times that were still to come, close ones together: the first and the last of each run."""
    times = {each.scheduled or 0.0 for each in _doubts_of([line for line in doubt.lines if SCHEDULED in line])}
    spans: list[tuple[float, float]] = []
    for each in sorted(times):
        if each <= doubt.claimed_at:
            continue
        if spans and each - spans[-1][1] <= gap:
            spans[-1] = spans[-1][0], each
        else:
            spans.append((each, each))
    return spans


def _overlapping(cases: Sequence[_Case], zones: Sequence[int]) -> list[list[_Case]]:
    """Return the cases in groups, so that no row can be of two groups."""
    spans = sorted(((*window, number) for number, case in enumerate(cases) for window in case.windows(zones)))
    group_of = list(range(len(cases)))

    def root(number: int) -> int:
        while group_of[number] != number:
            group_of[number] = number = group_of[group_of[number]]
        return number

    reach, last = float("-inf"), 0
    for start, end, number in spans:
        if start <= reach:
            group_of[root(number)] = root(last)
        reach, last = max(reach, end), number
    groups: dict[int, list[_Case]] = {}
    for number, case in enumerate(cases):
        groups.setdefault(root(number), []).append(case)
    return list(groups.values())


def _joined(windows: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in sorted(windows):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined
