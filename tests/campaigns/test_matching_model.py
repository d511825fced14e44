"""Random histories of an account against a model that knows the truth: no wrong id, and what is clear is found.

The histories leave out what no one could tell: rows of other programs that are equal to a message in doubt and of the
same minutes. Where no row is known and no zone is named, that means the same minutes in any zone of the last 22 hours.
"""

import os
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from random import Random

from attrs import define, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devino_async import DetailRow, DetailStatus
from devino_async.campaigns.matching import ANY_ZONE, SLACK, ZONE_STEP, Doubt, Matcher, Post, zones_of

# The suite tries some hundred. HISTORIES=10000 takes about a minute.
EXAMPLES = int(os.environ.get("HISTORIES", "300"))
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
DAY = 86_400
LINK = "https://shop.example/a?b=1"


@frozen
class Content:
    recipient: str
    sender: str
    text: str

    def shown(self, shortened: bool) -> "Content":
        text = self.text.replace(LINK, "https://clck.example/x1") if shortened else self.text
        return Content(self.recipient, self.sender, text)


@define
class Sent:
    """A POST as it really was. `doubts` are its messages in doubt by place: content and scheduled time."""

    claimed_at: float
    seconds: float
    shortened: bool
    arrived: bool
    doubts: dict[int, tuple[Content, float | None]] = field(factory=dict)

    def post(self) -> Post:
        doubts = [Doubt(at, c.recipient, c.sender, c.text, when) for at, (c, when) in self.doubts.items()]
        return Post(self.claimed_at, self.seconds, doubts, self.shortened)

    def window(self, scheduled: float | None) -> tuple[float, float]:
        start = max(self.claimed_at, scheduled or 0)
        return start - SLACK, start + self.seconds + SLACK


@frozen
class Truth:
    """Where a row comes from: the POST and place of a message in doubt, or neither."""

    row: DetailRow
    origin: tuple[int, int] | None
    known: bool = False


@define
class History:
    random: Random
    zone: int = 0
    proved: bool = False
    posts: list[Sent] = field(factory=list)
    rows: list[Truth] = field(factory=list)
    has_foreign: bool = False

    def moment(self, seconds: float) -> datetime:
        """A date as the service shows it: in its zone, without it, in whole seconds."""
        return datetime.fromtimestamp(int(seconds) + self.zone * ZONE_STEP, UTC).replace(tzinfo=None)

    def show(self, content: Content, at: float, *, waits: bool = False, known: bool = False, **origin: object) -> None:
        event = at + self.random.choice((0, 1, 40))
        row = DetailRow(
            message_id=str(7_000_000 + len(self.rows)),
            recipient=content.recipient,
            source_address=content.sender,
            text=content.text,
            sent_date_time=None if waits else self.moment(at),
            event_date_time=self.moment(event),
            status=DetailStatus.IN_PROGRESS if waits else DetailStatus.DELIVERED,
        )
        self.rows.append(Truth(row, origin.get("origin"), known))  # type: ignore[arg-type]


def history_of(random: Random) -> History:
    history = History(random, zone=random.choice((0, 12, random.choice(ANY_ZONE))), proved=random.random() < 0.6)
    recipients = [f"7900{number:07}" for number in range(random.choice((1, 3, 30)))]
    texts = random.sample(["Hello", "Your table is free", f"See {LINK} now", f"Ask {LINK}", "Код 17"], 3)
    contents = [Content(to, random.choice(("Shop", "Bank")), text) for to in recipients for text in texts]
    for number in range(random.choice((1, 1, 2, 4))):
        at = NOON + random.choice((0, 1, 5, 900, 3_600, random.uniform(0, 12_000))) * (number > 0)
        sent = Sent(at, random.choice((70, 70, 200, 1_000)), random.random() < 0.3, random.random() < 0.7)
        history.posts.append(sent)
        for place in range(random.choice((1, 4, 12))):
            scheduled = at + random.choice((600, 7_200, 2 * DAY)) if random.random() < 0.15 else None
            sent.doubts[place] = random.choice(contents), scheduled
    _show_what_arrived(history, visible=random.choice((0.0, 0.5, 1.0, 1.0)))
    if random.random() < 0.7:
        _show_others(history, contents)
    random.shuffle(history.rows)
    return history


def _show_what_arrived(history: History, visible: float) -> None:
    random = history.random
    for number, sent in enumerate(history.posts):
        delay = random.uniform(-SLACK + 1, sent.seconds + 60) if random.random() < 0.3 else random.uniform(0, 3)
        for place, (content, scheduled) in sent.doubts.items():
            if sent.arrived and random.random() < visible:
                waits = random.random() < 0.1
                at = sent.claimed_at + delay if waits else max(sent.claimed_at, scheduled or 0) + delay
                history.show(content.shown(sent.shortened), at, waits=waits, origin=(number, place))


def _show_others(history: History, contents: Iterable[Content]) -> None:
    """Rows of other campaigns with the same texts to the same people, and the reminder of the day before."""
    random = history.random
    for sent in history.posts:
        for content, _ in sent.doubts.values():
            if random.random() < 0.2:
                # Another program writes something else to the same person, in the same minutes.
                other = Content(content.recipient, content.sender, f"Your code is {random.randrange(999)}")
                history.show(other, sent.claimed_at + random.uniform(0, 60))
    is_known = random.random() < 0.5
    before = random.choice((DAY, DAY + 3_600, DAY - 3_600, 2 * DAY, 1_800, 7_200, random.uniform(0, 2 * DAY)))
    for content in contents:
        if random.random() < 0.7:
            at = NOON - before + random.uniform(0, 5)
            if is_known or not _could_be_ours(history, content, at):
                history.show(content, at, known=is_known)
                history.has_foreign = True


def _could_be_ours(history: History, content: Content, at: float) -> bool:
    """Whether a row of another program could be of a message in doubt, for all that anyone can tell.

    A row of ours in the true zone, and this one in another, contradict each other: then nothing may be settled.
    """
    is_open = not history.proved and not any(truth.origin for truth in history.rows)
    for sent in history.posts:
        for mine, scheduled in sent.doubts.values():
            if (mine.recipient, mine.sender) != (content.recipient, content.sender):
                continue
            for window in (sent.window(scheduled), sent.window(None)):
                # How far the zone would lie from the true one.
                away = zones_of(int(at), window)
                if 0 in away or (is_open and any(-32 < history.zone + each <= ANY_ZONE[-1] for each in away)):
                    return True
    return False


def judged(history: History) -> tuple[list[dict[int, str]], list[frozenset[int]]]:
    matcher = Matcher(zones=[history.zone] if history.proved else ANY_ZONE, proved=history.proved)
    for sent in history.posts:
        matcher.add(sent.post())
    for each in history.rows:
        matcher.feed(each.row)
    known = {each.row.message_id for each in history.rows if each.known and each.row.message_id is not None}
    verdict = matcher.verdict(known, now=NOON + 3 * DAY)
    return [dict(each) for each in verdict.found], list(verdict.unclear)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.integers(0, 2**48))
def test_no_wrong_id(seed: int) -> None:
    """An id is given only to a message that the row is of, or to its equal, and never to one that did not arrive."""
    history = history_of(Random(seed))
    found, _ = judged(history)
    truths = {each.row.message_id: each for each in history.rows}
    given_ids = [each for some in found for each in some.values()]
    assert len(given_ids) == len(set(given_ids)), "a row is evidence once"
    for number, some in enumerate(found):
        for place, each in some.items():
            truth = truths[each]
            assert truth.origin is not None, "a row of another program"
            assert not truth.known
            assert history.posts[number].arrived, "this POST never arrived"
            post, other = truth.origin
            assert history.posts[post].doubts[other][0] == history.posts[number].doubts[place][0]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.integers(0, 2**48))
def test_what_is_clear_is_found(seed: int) -> None:
    """All rows that are shown of messages that no other message or row is like are found, in every zone."""
    history = history_of(Random(seed))
    alike = Counter((c.recipient, c.sender) for sent in history.posts for c, _ in sent.doubts.values())
    crowded = history.has_foreign or max(alike.values()) > 1
    if crowded or (not history.proved and (history.zone < -31 or _wide(history))):
        return
    found, unclear = judged(history)
    shown = {truth.origin: truth.row.message_id for truth in history.rows if truth.origin is not None}
    assert shown == {(number, place): each for number, some in enumerate(found) for place, each in some.items()}
    assert not any(unclear)


def _wide(history: History) -> bool:
    """Whether a row may fit in two zones, because of a long attempt."""
    return any(sent.seconds > 600 for sent in history.posts)
