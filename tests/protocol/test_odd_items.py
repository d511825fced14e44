"""One odd item costs itself: values of every JSON kind in every place of every list answer, among good items.

DEVINO_ODD_ITEMS is how many answers are tried, a third of them for each kind of list, and DEVINO_ODD_ITEMS_SEED the
seed. A failure prints both.
"""

import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from devino_async.exchange import Answer
from devino_async.flow.steps import at_once
from devino_async.protocol import details, statistics, statuses
from devino_async.protocol.detail_rows import DetailRow
from devino_async.protocol.wire.converter import camel

COUNT = int(os.environ.get("DEVINO_ODD_ITEMS", "3000"))
SEED = int(os.environ.get("DEVINO_ODD_ITEMS_SEED", random.SystemRandom().randrange(10**9)))

# As JSON text, since Python has no way to write some of them.
ODD = [
    "null", "true", "false", "0", "-1", "7", "7.0", "1.5", "1e400", "-0.0", "1e-400", "9" * 60, "3.7e18", '""', '" "',
    '"x"', '"12"', '"7.0"', '"null"', '"NaN"', '"\\ud83d"', '"\\u0000"', '"2022-09-09"', '"2022-13-99 99:99:99"',
    '"' + "x" * 5_000 + '"', "[]", "[null]", "[[]]", '["x", 1]', "{}", '{"a": 1}', '{"a": 1, "a": 2}',
    '{"smsId": {}}', "[" * 50 + "]" * 50, "NaN", "-Infinity",
    "9" * 65, "9" * 5_000, "0." + "9" * 70, "1e9999999999999999999",
]  # fmt: skip
COLUMNS = {camel(each.name): each.type for each in attrs.fields(DetailRow) if each.name != "extra"}
FIELDS = {
    "statuses": ["smsId", "status", "statusDateTime", "new"],
    "details": [*COLUMNS, "segmentsCount", "new"],
    "statistics": ["date", "amount", "new"],
}


def good_item(kind: str, number: int) -> dict[str, Any]:
    if kind == "statuses":
        return {"smsId": str(10**18 + number), "status": "DELIVERED", "statusDateTime": "2022-09-09 19:29:34"}
    if kind == "details":
        return {"messageId": str(10**18 + number), "recipient": "79000000001", "text": f"text {number}", "price": 2}
    return {"date": f"2022-09-09 19:{number:02}:00", "amount": 10**18 + number}


def odd_item(kind: str, rng: random.Random) -> str:
    """An item that is odd as a whole, in one field, or in one field that is written twice."""
    odd = rng.choice(ODD)
    if rng.random() < 0.2:
        return odd
    name = rng.choice(FIELDS[kind])
    item = good_item(kind, 59)
    if rng.random() < 0.1:
        item.pop(name, None)
        return json.dumps(item)
    if rng.random() < 0.9:
        item.pop(name, None)
    others = json.dumps(item)[1:-1]
    return "{" + f'"{name}": {odd}' + (f", {others}" if others else "") + "}"


def read_statuses(items: list[str]) -> list[Any]:
    ids = [str(10**18 + number) for number in range(60)]
    body = f'{{"result": [{", ".join(items)}]}}'
    found, unread = statuses.read(Answer(status=200, body=body.encode()), ids)
    assert unread <= 1
    return found


def read_details(items: list[str]) -> list[Any]:
    body = f'{{"result": {{"data": [{", ".join(items)}], "more": false}}}}'
    found = at_once(details.read(Answer(status=200, body=body.encode())))
    assert found.unread <= 1
    assert len(found.rows) == len(items), "a row that is not given would be met again by its offset"
    assert repr(found)
    return list(found.rows)


def read_statistics(items: list[str]) -> list[Any]:
    body = f'{{"result": {{"messages": {{"sent": [{", ".join(items)}]}}, "segments": {{"sent": []}}}}}}'
    found = statistics.read(Answer(status=200, body=body.encode()))
    assert found.unread <= 1
    return list(found.messages["sent"])


READERS: dict[str, Callable[[list[str]], list[Any]]] = {
    "statuses": read_statuses,
    "details": read_details,
    "statistics": read_statistics,
}


def in_order(wanted: list[Any], found: list[Any]) -> bool:
    """Whether all wanted values stand in the other list in their order."""
    rest: Iterator[Any] = iter(found)
    return all(any(each == other for other in rest) for each in wanted)


@pytest.mark.parametrize("kind", READERS)
def test_one_odd_item_costs_itself(kind: str) -> None:
    """Whatever stands in one item of an answer, the other items arrive whole and in order."""
    rng = random.Random(f"{SEED} {kind}")
    read = READERS[kind]
    for round_ in range(-(-COUNT // len(READERS))):
        good = [json.dumps(good_item(kind, number)) for number in range(rng.randint(1, 6))]
        items = [*good]
        items.insert(rng.randint(0, len(good)), odd_item(kind, rng))
        told = f"DEVINO_ODD_ITEMS_SEED={SEED} DEVINO_ODD_ITEMS={COUNT}, round {round_} of {kind}: {items}"
        try:
            wanted, found = read(good), read(items)
        except Exception as error:
            raise AssertionError(told) from error
        assert len(found) <= len(items), told
        assert in_order(wanted, found), told
