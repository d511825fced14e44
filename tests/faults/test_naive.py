"""The lab itself is tested: a naive client must be found out, or the suite would catch nothing."""

from fault_check import Row, messages, unsound
from naive import run_naive
from rows_answers import ANSWERS
from rows_contents import CONTENTS
from rows_wire import WIRE


def small(rows: list[Row]) -> list[Row]:
    """Rows that the naive client can play: plain, small, and over soon."""
    slow = ("without end", "byte by byte", "stall")
    quick = [row for row in rows if row.count <= 3 and not any(word in row.name for word in slow)]
    return [row for row in quick if row.server == "plain" and not row.client_tls and row.listens]


async def test_the_naive_client_is_found_out() -> None:
    """A client that retries on exceptions sends messages twice and calls sent ones unsent; the check sees it."""
    found: dict[str, list[str]] = {}
    for row in [*small(WIRE), *small(ANSWERS), *small(CONTENTS)[::8]]:
        outcome = await run_naive(row)
        wrong = unsound(outcome.receipts, outcome.server.posts, messages(row.count, row.long))
        if wrong:
            found[row.name] = wrong
    told = str(found)
    assert len(found) >= 20
    assert "processed 3 times" in told
    assert "NotSent, but received" in told
