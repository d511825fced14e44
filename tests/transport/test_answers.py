"""Reading the service's wish to wait."""

from datetime import UTC, datetime

import pytest

from devino_async.transport.answers import wait_asked_for

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, 999999999999.0),
        ("Mon, 23 Nov 2026 12:01:30 GMT", 90.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("Mon, 23 Nov 2026 12:01:30 -0000", 90.0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    """Retry-After is read in seconds and as a date. A past date asks for no wait, nonsense counts as absent."""
    assert wait_asked_for(header, None, NOW) == seconds


def test_a_date_is_read_against_the_answer_s_own_clock() -> None:
    """A Retry-After date counts from the answer's Date: a client whose clock is an hour late waits no hour too long."""
    asked, date = "Mon, 23 Nov 2026 13:00:30 GMT", "Mon, 23 Nov 2026 13:00:00 GMT"
    assert wait_asked_for(asked, date, NOW) == 30.0
    assert wait_asked_for(asked, "nonsense", NOW) == 3_630.0
