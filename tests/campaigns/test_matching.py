"""The rules of evidence, a case each: which rows of the service are messages in doubt."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve, frozen

from devino_async import DetailRow, DetailStatus
from devino_async.campaigns.matching import ANY_ZONE, Doubt, Matcher, Post, zones_of

# The claim of every POST here, unless it says otherwise.
CLAIM = datetime(2026, 3, 2, 9, 59, 58, 700_000, tzinfo=UTC)
LINK = "https://shop.example/a?b=1"
DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
ANNA, BORIS = "79000000001", "79000000002"


def doubt(place: int, to: str = ANNA, text: str = "Hello", scheduled: float | None = None) -> Doubt:
    """A message in doubt. `scheduled` is in seconds after the claim."""
    return Doubt(place, to, "Shop", text, None if scheduled is None else CLAIM.timestamp() + scheduled)


def post(*doubts: Doubt, after: float = 0.0, seconds: float = 70.0, shortened: bool = False) -> Post:
    return Post(CLAIM.timestamp() + after, seconds, doubts, shortened)


def row(
    message_id: str, after: float = 1.0, to: str = ANNA, text: str = "Hello", zone: float = 3.0, **columns: Any
) -> DetailRow:
    """A row that was sent so many seconds after the claim, shown by a clock that is `zone` hours ahead of UTC."""
    at = (CLAIM + timedelta(seconds=after, hours=zone)).replace(microsecond=0, tzinfo=None)
    made = DetailRow(
        message_id=message_id,
        recipient=to,
        source_address="Shop",
        text=text,
        sent_date_time=at,
        event_date_time=at + timedelta(seconds=5),
        status=DetailStatus.DELIVERED,
    )
    return evolve(made, **columns)


@frozen
class Case:
    rule: str
    posts: Sequence[Post]
    rows: Sequence[DetailRow]
    found: Sequence[Mapping[int, str]]
    unclear: Sequence[set[int]] | None = None
    zones: Sequence[int] = (12,)
    known: Sequence[str] = ()
    now: float = 3 * DAY

    def __str__(self) -> str:
        return self.rule


ONE = post(doubt(0))
TWO = post(doubt(0), doubt(1, BORIS))
WAITS = {"sent_date_time": None, "status": DetailStatus.IN_PROGRESS}
CASES = [
    Case("a row of the same person, sender, text and time is the message", [ONE], [row("1")], [{0: "1"}]),
    Case("a leading plus is the same number", [ONE], [row("1", to=f"+{ANNA}")], [{0: "1"}]),
    Case("another text is another message", [ONE], [row("1", text="Hello!")], [{}]),
    Case("another sender is another message", [ONE], [row("1", source_address="Bank")], [{}]),
    Case("another person is another message", [ONE], [row("1", to=BORIS)], [{}]),
    Case("a row without an id, a text, a sender or a number is none", [ONE], [
        evolve(row("1"), message_id=None), row("2", recipient=None), row("3", text=None), row("4", source_address=None)
    ], [{}]),
    Case("clocks may differ by two minutes", [ONE], [row("1", -118.0)], [{0: "1"}]),
    Case("what was sent before that is another message", [ONE], [row("1", -123.0)], [{}]),
    Case("it may arrive as late as an attempt may take", [ONE], [row("1", 70 + 118.0)], [{0: "1"}]),
    Case("what was sent after that is another message", [ONE], [row("1", 70 + 123.0)], [{}]),
    Case("an id that the journal knows is no evidence", [ONE], [row("1")], [{}], known=["1"]),
    Case("what is found does not depend on what is not", [TWO], [row("1")], [{0: "1"}]),
    Case("a row that is read twice is one row, as it is read last", [ONE], [row("1", **WAITS), row("1")], [{0: "1"}]),
    Case("an id that is on rows of two people settles neither", [TWO], [row("1"), row("1", to=BORIS)], [{}], [{0, 1}]),
    Case("even if only one of them is in doubt", [ONE], [row("1"), row("1", to=BORIS)], [{}], [{0}]),
    Case("whatever else the other row says, or leaves out", [ONE], [
        row("1", -DAY, BORIS, source_address=None, text=None), row("1")
    ], [{}], [{0}]),
    Case("and a good row beside it is no proof", [TWO], [row("1"), row("2"), row("1", to="7" * 11)], [{}], [{0}]),
    Case("what has ids of its own is found", [TWO], [row("1"), row("1", to="7" * 11), row("2", to=BORIS)], [
        {1: "2"}
    ], [{0}]),
    Case("a person with and without a plus is one", [ONE], [row("1", to=f"+{ANNA}"), row("1")], [{0: "1"}]),
    # Equal messages
    Case("twins are settled by count", [post(doubt(0), doubt(1))], [row("2"), row("1")], [{0: "1", 1: "2"}]),
    Case("one row settles one of two twins", [post(doubt(0), doubt(1))], [row("1")], [{0: "1"}]),
    Case("more rows than messages settle nothing", [ONE], [row("1"), row("2")], [{}], [{0}]),
    Case("twins in two requests are settled if there is a row for each", [ONE, post(doubt(7), after=2.0)], [
        row("1"), row("2", 3.0)
    ], [{0: "1"}, {7: "2"}]),
    Case("one row for two requests settles neither", [ONE, post(doubt(7), after=2.0)], [row("1")], [{}, {}], [
        {0}, {7}
    ]),
    Case("a row that fits one of two requests only is of that one", [ONE, post(doubt(7), after=HOUR)], [
        row("1", HOUR)
    ], [{}, {7: "1"}]),
    Case("two rows of the first request are not one for each", [ONE, post(doubt(7), after=250.0)], [
        row("1", 0.0), row("2", 1.0)
    ], [{}, {}], [{0}, set()]),
    Case("as many rows as messages settle nothing if too many are of one request", [
        ONE, post(doubt(7), doubt(8), after=250.0)
    ], [row("1", 0.0), row("2", 10.0), row("3", 150.0)], [{}, {}], [{0}, {7, 8}]),
    # Zones
    *(
        Case(f"the service may be at {zone:+} h", [TWO], [row("1", zone=zone), row("2", to=BORIS, zone=zone)], [
            {0: "1", 1: "2"}
        ], zones=ANY_ZONE)
        for zone in (-7.75, -3.5, 0.0, 3.0, 5.75, 14.0)
    ),
    Case("no zone is further than 14 hours away", [ONE], [row("1", zone=14.25)], [{}], zones=ANY_ZONE),
    Case("no zone is at odd minutes", [ONE], [row("1", 10 * MINUTE)], [{}], zones=ANY_ZONE),
    Case("all rows agree on one zone, or settle nothing", [TWO], [row("1"), row("2", to=BORIS, zone=5.0)], [{}], [
        {0, 1}
    ], zones=ANY_ZONE),
    Case("all requests agree on one zone, or settle nothing", [ONE, post(doubt(7, BORIS), after=HOUR)], [
        row("1"), row("2", HOUR, to=BORIS, zone=5.0)
    ], [{}, {}], [{0}, {7}], zones=ANY_ZONE),
    Case("a known zone settles that, and what is elsewhere is another message", [TWO], [
        row("1"), row("2", to=BORIS, zone=5.0)
    ], [{0: "1"}]),
    Case("the reminder of the day before is another message", [TWO], [row("1", -DAY), row("2", -DAY, to=BORIS)], [
        {}
    ], zones=ANY_ZONE),
    *(
        Case(f"nor does it count where the clock is {zone} h ahead", [TWO], [
            row("1", -DAY, zone=zone), row("2", -DAY, to=BORIS, zone=zone)
        ], [{}], [{0, 1}], zones=ANY_ZONE)
        for zone in (10.0, 14.0)
    ),
    Case("with the zone known, it is absent", [ONE], [row("1", -DAY, zone=12.0)], [{}], zones=[48]),
    Case("with the zone known, rows 10 h behind count", [ONE], [row("1", zone=-10.0)], [{0: "1"}], zones=[-40]),
    Case("both today's and yesterday's rows settle nothing until the zone is known", [ONE], [
        row("1", zone=12.0), row("2", -DAY, zone=12.0)
    ], [{}], [{0}], zones=ANY_ZONE),
    Case("and then they settle today's", [ONE], [row("1", zone=12.0), row("2", -DAY, zone=12.0)], [{0: "1"}], zones=[
        48
    ]),
    Case("the same an hour ago counts for nothing once a later row shows the clock", [ONE], [
        row("1", -HOUR), row("2", 2 * MINUTE, text="Another")
    ], [{}], zones=ANY_ZONE, now=4 * MINUTE),
    Case("a row that waits shows no clock", [ONE], [
        row("1"), row("2", 2 * HOUR, text="Later", status=DetailStatus.IN_PROGRESS)
    ], [{0: "1"}], zones=ANY_ZONE, now=4 * MINUTE),
    Case("a long attempt may fit two zones that say the same", [post(doubt(0), seconds=1_200.0)], [row("1")], [
        {0: "1"}
    ], zones=ANY_ZONE),
    # Times
    Case("what was not sent yet has the time of its acceptance", [ONE], [row("1", **WAITS)], [{0: "1"}]),
    Case("and not another one", [ONE], [row("1", HOUR, **WAITS)], [{}]),
    Case("a row without any time is unclear", [ONE], [row("1", event_date_time=None, **WAITS)], [{}], [{0}]),
    Case("a scheduled message is found around its time", [post(doubt(0, scheduled=5 * HOUR))], [row("1", 5 * HOUR)], [
        {0: "1"}
    ]),
    Case("and not before", [post(doubt(0, scheduled=5 * HOUR))], [row("1")], [{}]),
    Case("until then it waits", [post(doubt(0, scheduled=5 * HOUR))], [row("1", **WAITS)], [{0: "1"}]),
    Case("twins with two times are told apart by them", [post(doubt(0), doubt(1, scheduled=5 * HOUR))], [
        row("1"), row("2", 5 * HOUR)
    ], [{0: "1", 1: "2"}]),
    Case("a schedule in the past is now", [post(doubt(0, scheduled=-30.0))], [row("1")], [{0: "1"}]),
    # Links
    Case("a shortened link is other words in its place", [post(doubt(0, text=f"See {LINK} now"), shortened=True)], [
        row("1", text="See https://clck.example/x1 now")
    ], [{0: "1"}]),
    Case("but only where shortening was asked for", [post(doubt(0, text=f"See {LINK} now"))], [
        row("1", text="See https://clck.example/x1 now")
    ], [{}]),
    Case("other words around it are another message", [post(doubt(0, text=f"See {LINK} now"), shortened=True)], [
        row("1", text="Your code is 17"), row("2", text="See https://clck.example/x1 soon")
    ], [{}]),
    Case("a text without a link stays as it is", [post(doubt(0), shortened=True)], [row("1", text="Hello you")], [{}]),
    Case("a link that stayed long is found too", [post(doubt(0, text=LINK), shortened=True)], [row("1", text=LINK)], [
        {0: "1"}
    ]),
    Case("two texts that become alike settle nothing", [
        post(doubt(0, text=f"{LINK}1"), doubt(1, text=f"{LINK}2"), shortened=True)
    ], [row("1", text="https://clck.example/x1"), row("2", text="https://clck.example/x2")], [{}], [{0, 1}]),
    Case("two programs that shorten at once settle nothing", [post(doubt(0, text=LINK), shortened=True)], [
        row("1", text="https://clck.example/x1"), row("2", text="https://clck.example/x2")
    ], [{}], [{0}]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rules(case: Case) -> None:
    """Each case is a rule. It holds in whatever order the rows are read, and shows nothing of them."""
    is_repeated = len({(each.message_id, each.recipient) for each in case.rows}) < len(case.rows)
    for rows in [case.rows] if is_repeated else [case.rows, case.rows[::-1]]:
        matcher = Matcher(case.posts, case.zones, proved=len(case.zones) == 1)
        for each in rows:
            matcher.feed(each)
        verdict = matcher.verdict(case.known, now=CLAIM.timestamp() + case.now)
        assert list(verdict.found) == list(case.found)
        assert list(verdict.unclear) == list(case.unclear or [set() for _ in case.posts])
        assert set(matcher.ids) >= {each for some in verdict.found for each in some.values()}


def test_zones() -> None:
    """A time of the service's clock fits the zones in which it lies in the window, both ends included."""
    assert list(zones_of(1_000.0, (1_000.0, 1_001.0))) == [0]
    assert list(zones_of(1_900.0, (1_000.0, 1_001.0))) == [1]
    assert list(zones_of(1_450.0, (1_000.0, 1_001.0))) == []
    assert list(zones_of(1_000.0, (1_900.0, 1_900.0))) == [-1]
    assert list(zones_of(1_000.0, (1_000.0, 1_900.0))) == [-1, 0]


def test_no_text_is_shown() -> None:
    """What is in doubt shows neither its text nor the rows, wherever it is printed."""
    assert "Hello" not in repr(ONE)
    assert "secret" not in repr(doubt(0, text="secret"))
    assert ANNA not in repr(doubt(0))
