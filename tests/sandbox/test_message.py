"""Checks of one message: the keys of the API docs, the limits, and odd values."""

from typing import Any

import pytest
from asking import Asking, message


@pytest.mark.parametrize(
    ("fields", "key", "ref"),
    [
        ({"from": ""}, "not.available", "from"),
        ({"from": "Unknown"}, "not.available", "from"),
        ({"to": "string"}, "to.format.invalid", "to"),
        ({"to": "+79000000001"}, "to.format.invalid", "to"),
        ({"scheduledTime": "tomorrow"}, "scheduledTime.is.invalid", "scheduledTime"),
        ({"scheduledTime": 1662713547}, "scheduledTime.is.invalid", "scheduledTime"),
        ({"text": "Я" * 17_086}, "text.length.too.long", "text"),
        ({"text": "x" * 34_171}, "text.length.too.long", "text"),
        ({"validity": 259_201}, "validity.is.invalid", "validity"),
        ({"validity": -1}, "validity.is.invalid", "validity"),
        ({"validity": True}, "validity.is.invalid", "validity"),
        ({"priority": "URGENT"}, "priority.is.not.match", "priority"),
        ({"priority": 3}, "priority.is.not.match", "priority"),
        ({"callbackUrl": "ftp://example.com"}, "callbackUrl.format.invalid", "callbackUrl"),
    ],
)
async def test_the_seven_keys(asking: Asking, fields: dict[str, Any], key: str, ref: str) -> None:
    """A bad message is rejected with the documented key and reference, and the good one beside it is accepted."""
    good, bad = await asking.send(message(), message(**fields))
    assert good["code"] == "OK"
    assert (bad["code"], bad["messageId"], bad["segmentsId"]) == ("REJECTED", None, None)
    assert [(reason["key"], reason["ref"]) for reason in bad["reasons"]] == [(key, f"messages[1].{ref}")]
    assert await asking.sandbox.count() == 1


async def test_texts_at_the_limit(asking: Asking) -> None:
    """The longest texts that the API docs allow are accepted."""
    for text in ("Я" * 17_085, "x" * 34_170):
        [item] = await asking.send(message(text=text))
        assert item["code"] == "OK"


async def test_odd_values_reject_one_message_only(asking: Asking) -> None:
    """An odd message is rejected alone, and the good one beside it is accepted."""
    odd: list[Any] = [None, 5, [], {}, message(text=None), message(to=None), message(text="\ud800")]
    odd += [message(**{"from": "\ud800"}), message(priority=[]), message(priority={}), message(options=[1])]
    odd += [message(callbackUrl="http://127.0.0.1:99999/"), message(callbackUrl="http://[::1"), message(validity=1.0)]
    items = await asking.send(*odd, message())
    assert [item["code"] for item in items] == ["REJECTED"] * len(odd) + ["OK"]


async def test_every_problem_is_named(asking: Asking) -> None:
    """A message with several faults is rejected with a reason for each of them."""
    [item] = await asking.send(message("x", validity=-1, priority="URGENT"))
    keys = [reason["key"] for reason in item["reasons"]]
    assert keys == ["to.format.invalid", "validity.is.invalid", "priority.is.not.match"]
