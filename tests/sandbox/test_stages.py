"""How statuses move, and that the rule in SQL and the one in Python are the same."""

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
    ("ending", "final"),
    [("991", "UNDELIVERABLE"), ("992", "EXPIRED"), ("993", "REJECTED"), ("994", "UNKNOWN"), ("995", "SENT")]
    + [("996", "DELIVERED"), ("000", "DELIVERED")],
)
async def test_statuses_move(asking: Asking, ending: str, final: str) -> None:
    """A message goes from ACCEPTED over ENROUTE and SENT to the end that its recipient stands for."""
    [item] = await asking.send(message(f"79000000{ending}"))
    seen = []
    for _ in range(5):
        seen.append((await asking.statuses(item["messageId"]))[item["messageId"]])
        asking.clock.advance(10)
    assert seen == ["ACCEPTED", "ENROUTE", "SENT", final, final]


async def test_clicked_links(asking: Asking) -> None:
    """Shortened links are followed by the recipient who stands for that, after delivery."""
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
