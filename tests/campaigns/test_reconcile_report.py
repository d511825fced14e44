"""The report of reconciling: many outcomes in few objects, and the lines that say what to do."""

import gc
from datetime import UTC, datetime, timedelta

import pytest

from devino_async import DetailRow, DetailStatus
from devino_async.campaigns import Outcome, ReconcileReport, State
from devino_async.campaigns.matching import Doubt, Matcher, Post
from devino_async.campaigns.reconcile_report import Outcomes

COUNT = 3_000


def settled(count: int) -> Outcomes:
    made = Outcomes(State.ACCEPTED)
    for number in range(count):
        made.append(number, None, str(5_000_000 + number))
    return made


def objects() -> int:
    """How many objects the garbage collector looks at in each full pass. Tuples of numbers leave it by and by."""
    for _ in range(4):
        gc.collect()
    return len(gc.get_objects())


def test_a_sequence_of_outcomes() -> None:
    """Outcomes can be counted, indexed from both ends, sliced, compared and gone through, as if each were kept."""
    made = settled(3)
    each = [Outcome(position=at, state=State.ACCEPTED, message_id=str(5_000_000 + at)) for at in range(3)]
    assert list(made) == each
    assert (made[0], made[-1], made[1:], made[::-1]) == (each[0], each[2], tuple(each[1:]), tuple(reversed(each)))
    assert made == each
    assert made == settled(3)
    assert made != each[:2]
    assert made != [each[0], each[2], each[1]]
    assert made != "abc"
    assert Outcomes(State.UNCONFIRMED) == ()
    assert each[1] in made
    with pytest.raises(IndexError):
        made[3]
    assert repr(made) == "<3 outcomes: accepted>"


def test_outcomes_of_keys() -> None:
    """An outcome of a key has no position."""
    made = Outcomes(State.UNCONFIRMED)
    made.append(None, "order-1")
    assert list(made) == [Outcome(key="order-1", state=State.UNCONFIRMED)]


def test_few_objects() -> None:
    """What is kept of each message is nothing that a full pass of the garbage collector must look at."""
    before = objects()
    moment = datetime(2026, 3, 2, 12, tzinfo=UTC)
    doubts = [Doubt(at, f"7900{at:07}", "MyCompany", "Hello") for at in range(COUNT)]
    matcher = Matcher([Post(moment.timestamp(), 70.0, doubts)])
    del doubts
    for at in range(COUNT):
        matcher.feed(
            DetailRow(
                message_id=str(at),
                recipient=f"7900{at:07}",
                source_address="MyCompany",
                text="Hello",
                sent_date_time=moment,
                status=DetailStatus.DELIVERED,
            )
        )
    verdict, made = matcher.verdict(now=moment.timestamp() + 1_000), settled(COUNT)
    assert (len(verdict.found[0]), len(made)) == (COUNT, COUNT)
    assert objects() - before < COUNT / 10


def test_what_to_do() -> None:
    """Each line says one thing: what was found, what to give, and what a person decides."""
    unclear = Outcomes(State.UNCONFIRMED)
    for at in range(3):
        unclear.append(at, None)
    report = ReconcileReport(unclear=unclear, without_zone=2, agreed=(timedelta(hours=-3, minutes=-30),))
    zone = "the zone of the service's dates is not known. Reconcile again with a client that has it: time_zone="
    assert str(report).splitlines() == [
        "settled: 0, absent: 0, unclear: 3",
        "The dates of the service were read as UTC-03:30, because the settled rows agree on it.",
        f"2 are unclear because {zone} (devino: --time-zone Europe/Moscow).",
        "1 are unclear because rows fit several messages, or have no time. Reconcile again later.",
        "What stays unconfirmed is for you to decide: resolve it as assume_sent, or as resend.",
    ]
