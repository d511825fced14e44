"""GET /sms-stat/statistics/of-group: the counts are those of what was sent."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from asking import START, WIRE, Asking, Receiver, message

from devino_async.sandbox import ManualClock, Sandbox


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
    """Counts by status and period are those of what was sent, in messages and in segments."""
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
