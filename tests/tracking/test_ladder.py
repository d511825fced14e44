"""The ladder: what events say about a message depends neither on their order nor on repetitions."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import Delivery, Status
from devino_async.tracking.ladder import StatusEvent, delivery_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
FINAL = {Status.DELIVERED, Status.EXPIRED, Status.UNDELIVERABLE, Status.REJECTED, Status.CLICKED, Status.UNKNOWN}


def event(status: Status | str, minutes: int | None = 0, error_code: int | None = 0) -> StatusEvent:
    return StatusEvent("1", status, None if minutes is None else NOON + timedelta(minutes=minutes), error_code)


moments = st.none() | st.builds(
    lambda minutes, naive: (NOON + timedelta(minutes=minutes)).replace(tzinfo=None if naive else UTC),
    st.integers(-3, 3),
    st.booleans(),
)
events = st.builds(
    StatusEvent,
    st.just("1"),
    st.sampled_from([*Status, "PONDERED", "SHELVED"]),
    moments,
    st.none() | st.integers(0, 2),
)


@given(st.lists(events, max_size=12), st.randoms(use_true_random=False))
def test_any_order_and_repetition(news: list[StatusEvent], chance: object) -> None:
    """Any order of the same events, each any number of times, says the same."""
    again = news + news[: len(news) // 2]
    chance.shuffle(again)  # type: ignore[attr-defined]
    assert delivery_of("1", again) == delivery_of("1", news)


@given(st.lists(events, max_size=12), events)
def test_no_news_undoes_what_is_final(news: list[StatusEvent], late: StatusEvent) -> None:
    """What is final stays final. Only CLICKED or an earlier final status replaces it, and none is forgotten."""
    before, after = delivery_of("1", news), delivery_of("1", [*news, late])
    if before.final:
        assert after.final
        told = {before.status, *before.conflicting} & (FINAL - {Status.UNKNOWN, Status.CLICKED})
        if after.status is Status.CLICKED:
            told -= {Status.DELIVERED}
        assert told <= {after.status, *after.conflicting}
        if late.status not in FINAL:
            assert after == before


@given(st.lists(events, max_size=12))
def test_the_ladder(news: list[StatusEvent]) -> None:
    """CLICKED stands above final statuses, these above UNKNOWN, UNKNOWN above what is on its way."""
    found, told = delivery_of("1", news), {each.status for each in news}
    ends = told & (FINAL - {Status.CLICKED, Status.UNKNOWN})
    if Status.CLICKED in told:
        assert found.status is Status.CLICKED
    elif ends:
        assert found.status in ends
        assert {found.status, *found.conflicting} == ends
    elif Status.UNKNOWN in told:
        assert found.status is Status.UNKNOWN
    assert found.final == bool(told & FINAL)
    assert (found.status is None) == (not news)


@pytest.mark.parametrize(
    ("news", "status"),
    [
        ([event(Status.SENT, 5), event(Status.ENROUTE, 9)], Status.SENT),
        ([event(Status.ENROUTE, 1), event("PONDERED", 9)], Status.ENROUTE),
        ([event(Status.SCHEDULED, 1), event(Status.ACCEPTED, 2)], Status.ACCEPTED),
        ([event(Status.ACCEPTED, 1), event(Status.SCHEDULED, 2)], Status.SCHEDULED),
        ([event("PONDERED", 1)], "PONDERED"),
    ],
)
def test_on_the_way(news: list[StatusEvent], status: Status | str) -> None:
    """The furthest step is shown, and of equal ones the later. An unknown status is shown only if there is no other."""
    found = delivery_of("1", news)
    assert found.status == status
    assert not found.final


def test_two_final_statuses() -> None:
    """Of two different final statuses the earlier is shown and the other kept and flagged."""
    found = delivery_of("1", [event(Status.UNDELIVERABLE, 5, 2001), event(Status.DELIVERED, 3)])
    assert found == Delivery("1", Status.DELIVERED, NOON + timedelta(minutes=3), 0, True, (Status.UNDELIVERABLE,))
    clicked = delivery_of("1", [event(Status.DELIVERED, 3), event(Status.CLICKED, 4)])
    assert (clicked.status, clicked.conflicting) == (Status.CLICKED, ())
