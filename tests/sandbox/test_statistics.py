"""GET /sms-stat/statistics/of-group: the counts of accepted messages."""

from collections import Counter

import pytest
from asking import Asking, message


@pytest.mark.parametrize(
    ("group", "periods"),
    [
        ("NONE", ["2022-01-01 00:00:00"]),
        ("YEAR", ["2022-01-01 00:00:00"]),
        ("MONTH", ["2022-09-01 00:00:00", "2022-10-01 00:00:00"]),
        ("WEEK", ["2022-09-05 00:00:00", "2022-10-03 00:00:00"]),
        ("DAY", ["2022-09-09 00:00:00", "2022-10-09 00:00:00"]),
        ("HOUR", ["2022-09-09 08:00:00", "2022-10-09 08:00:00"]),
    ],
)
async def test_statistics_agree_with_what_was_sent(asking: Asking, group: str, periods: list[str]) -> None:
    """Counts by status and period agree with the accepted messages and their segments."""
    await asking.send(message(text="Я" * 140), message("79000000991"), message("79000000991"))
    asking.clock.advance(30 * 86_400)
    await asking.send(message(text="Я" * 140))
    asking.clock.advance(100)
    query = f"startDate=2022-01-01T00:00:00&endDate=2022-12-31+00:00:00&groupBy={group}"
    _, body = await asking.ask("GET", f"/sms-stat/statistics/of-group?{query}")
    messages, segments = body["result"]["messages"], body["result"]["segments"]
    assert len(messages) == len(segments) == 12
    assert sum(each["amount"] for each in messages["delivered"]) == 2
    assert sum(each["amount"] for each in segments["delivered"]) == 6
    assert sum(each["amount"] for each in messages["undeliverable"]) == 2
    assert [each["date"] for each in messages["delivered"]] == periods


async def test_statistics_agree_with_the_statuses_at_every_moment(asking: Asking) -> None:
    """At every moment the counts agree with the statuses that a look-up gives."""
    fates = [message(f"79000000{ending}") for ending in range(985, 1_000)]
    items = await asking.send(*fates, message(scheduledTime="2022-09-09T08:00:15.000Z"), message("bad"))
    ids = [item["messageId"] for item in items if item["code"] == "OK"]
    for _ in range(8):
        found = {
            key: sum(each["amount"] for each in value) for key, value in (await asking.counts())["messages"].items()
        }
        wanted = Counter(
            status.lower().replace("enroute", "enrouted") for status in (await asking.statuses(*ids)).values()
        )
        assert {key: amount for key, amount in found.items() if amount} == wanted
        asking.clock.advance(5)


async def test_campaigns_are_counted_apart(asking: Asking) -> None:
    """taskId and triggerId narrow the counts. An unknown campaign has none."""
    await asking.send(message(), message())
    await asking.send(message())
    for query, amount in {"&taskId=1": 2, "&triggerId=2": 1, "&taskId=1&triggerId=2": 0, "&taskId=9": 0, "": 3}.items():
        assert sum(each["amount"] for each in (await asking.counts(query))["messages"]["accepted"]) == amount


async def test_the_time_zone_moves_the_periods(asking: Asking) -> None:
    """timeOffset is in minutes: what was sent at 08:00 UTC was sent at 11:00 in Moscow."""
    await asking.send(message())
    [count] = (await asking.counts("&timeOffset=180", "HOUR"))["messages"]["accepted"]
    assert count == {"date": "2022-09-09 11:00:00", "amount": 1}


GOOD = "endDate=2023-01-01T00:00:00&groupBy=DAY"
BAD = ["", "groupBy=DAY", "endDate=2023&groupBy=DAY", "endDate=2021-01-01T00:00:00&groupBy=DAY"]
BAD += ["endDate=2023-01-01T00:00:00", "endDate=2023-01-01T00:00:00&groupBy=CENTURY"]
BAD += [f"{GOOD}&timeOffset=x", f"{GOOD}&timeOffset=9999", f"{GOOD}&taskId=x", f"{GOOD}&triggerId={'9' * 30}"]


@pytest.mark.parametrize(("query", "status"), [(GOOD, 200), *((query, 400) for query in BAD)])
async def test_bad_parameters(asking: Asking, query: str, status: int) -> None:
    """A missing or mistyped parameter is refused in the envelope, and so is a span that ends before it begins."""
    found, answer = await asking.ask("GET", f"/sms-stat/statistics/of-group?startDate=2022-01-01T00:00:00&{query}")
    assert (found, answer["result"] is None) == (status, status == 400)
