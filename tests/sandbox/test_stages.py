"""The course of statuses, and the equality of the rule in SQL and the one in Python."""

import sqlite3
from contextlib import closing

import pytest
from asking import Asking, message
from hypothesis import given, settings
from hypothesis import strategies as st

from devino_async.sandbox.stages import EVENT_TIME, FATES, STATUS, history


@pytest.mark.parametrize(
    ("ending", "final"),
    [("991", "UNDELIVERABLE"), ("992", "EXPIRED"), ("993", "REJECTED"), ("994", "UNKNOWN"), ("995", "SENT")]
    + [("996", "DELIVERED"), ("000", "DELIVERED")],
)
async def test_statuses_move(asking: Asking, ending: str, final: str) -> None:
    """A message goes from ACCEPTED over ENROUTE and SENT to the status that its recipient's digits name."""
    [item] = await asking.send(message(f"79000000{ending}"))
    seen = []
    for _ in range(5):
        seen.append((await asking.statuses(item["messageId"]))[item["messageId"]])
        asking.clock.advance(10)
    assert seen == ["ACCEPTED", "ENROUTE", "SENT", final, final]


async def test_clicked_links(asking: Asking) -> None:
    """A message with shortened links becomes CLICKED after delivery, if its recipient's digits say so."""
    [item] = await asking.send(
        message("79000000996", text="see https://example.com/a?b=c now"), query="?shortenUrl=true"
    )
    asking.clock.advance(30)
    assert set((await asking.statuses(item["messageId"])).values()) == {"DELIVERED"}
    asking.clock.advance(10)
    assert set((await asking.statuses(item["messageId"])).values()) == {"CLICKED"}
    [row] = (await asking.details("taskId=1&limit=5&offset=0"))["data"]
    assert "https://clickdo.integrationapi.net/" in row["text"]
    assert "example.com" not in row["text"]
    assert row["status"] == "REDIRECT"


async def test_validity_ends_an_expiring_message(asking: Asking) -> None:
    """A message that expires does so at the end of its lifetime, long or short, and is SENT until then."""
    long, short = await asking.send(message("79000000992", validity=60), message("79000000992", validity=5))
    seen = []
    for _ in range(8):
        statuses = await asking.statuses(long["messageId"], short["messageId"])
        seen.append((statuses[long["messageId"]], statuses[short["messageId"]]))
        asking.clock.advance(10)
    assert [status for status, _ in seen] == ["ACCEPTED", "ENROUTE"] + ["SENT"] * 4 + ["EXPIRED"] * 2
    assert [status for _, status in seen] == ["ACCEPTED"] + ["EXPIRED"] * 7


async def test_a_scheduled_message_waits(asking: Asking) -> None:
    """A message is SCHEDULED until its time. A time in the past means now."""
    later, past = await asking.send(
        message(scheduledTime="2022-09-09T08:00:30.000Z"), message(scheduledTime="2022-09-09T07:00:00.000Z")
    )
    first = await asking.statuses(later["messageId"], past["messageId"])
    asking.clock.advance(30)
    second = await asking.statuses(later["messageId"], past["messageId"])
    assert list(first.values()) == ["SCHEDULED", "ACCEPTED"]
    assert list(second.values()) == ["ACCEPTED", "DELIVERED"]


QUERY = f"""SELECT {STATUS}, {EVENT_TIME}
    FROM (SELECT :accepted AS accepted, :starts AS starts, :fate AS fate, :lifetime AS lifetime)"""


@given(
    fate=st.sampled_from(["DELIVERED", *FATES.values()]),
    waits=st.integers(0, 20),
    validity=st.integers(0, 60),
    stage=st.integers(1, 10),
    passed=st.integers(0, 100),
)
@settings(deadline=None)
def test_sql_and_python_agree(fate: str, waits: int, validity: int, stage: int, passed: int) -> None:
    """At every moment a look-up finds the last status that the callbacks have reported."""
    lifetime = validity if fate == "EXPIRED" else 0
    steps = history(1_000.0, 1_000.0 + waits, fate, lifetime, stage)
    known = {"accepted": 1_000.0, "starts": 1_000.0 + waits, "fate": fate, "lifetime": lifetime}
    with closing(sqlite3.connect(":memory:")) as connection:
        found = connection.execute(QUERY, {**known, "now": 1_000.0 + passed, "stage": stage}).fetchone()
    moment, status = [step for step in steps if step[0] <= 1_000 + passed][-1]
    assert found == (status, moment)
    assert [moment for moment, _ in steps] == sorted(moment for moment, _ in steps)
