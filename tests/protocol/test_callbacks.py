"""Callbacks and incoming messages: one or many, numbers as numbers or text, and nothing invented."""

import json
import pickle
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st

from devino_async import InvalidCallback, Status, parse_callbacks, parse_incoming

PHONE = "79001234567"
EVENT: dict[str, Any] = {"messageId": "3597944866766620289", "ts": 1613404835977, "status": "DELIVERED", "errorCode": 0}
INCOMING: dict[str, Any] = {
    "incomingMessageId": "3777714415805253122",
    "ts": "1587721283000",
    "from": PHONE,
    "text": "Hi",
}
PARSERS: list[tuple[Callable[[bytes | str], Any], dict[str, Any]]] = [
    (parse_callbacks, EVENT),
    (parse_incoming, INCOMING),
]


def changed(base: dict[str, Any], **fields: Any) -> str:
    return json.dumps({**base, **fields})


@pytest.mark.parametrize(("parse", "one"), PARSERS)
def test_one_or_many(parse: Callable[[bytes | str], Any], one: dict[str, Any]) -> None:
    """Both kinds of body may be one object or an array, as bytes or text, with a byte order mark or without."""
    text = json.dumps(one)
    [made] = parse(text)
    assert parse(text.encode()) == parse(b"\xef\xbb\xbf" + text.encode()) == parse(f" [{text}]\r\n") == [made]
    assert parse(f"[{text},{text}]") == [made, made]
    assert parse("[]") == []


@pytest.mark.parametrize("status", [*Status, "BRAND_NEW"])
def test_statuses(status: str) -> None:
    """All ten statuses become members. What is new stays a str."""
    [event] = parse_callbacks(changed(EVENT, status=str(status)))
    assert event.status == status
    assert isinstance(event.status, Status) is (status in Status.__members__)


@given(st.integers(0, 253_402_300_799_999), st.booleans(), st.sampled_from(PARSERS))
def test_timestamps(milliseconds: int, as_text: bool, chosen: tuple[Any, dict[str, Any]]) -> None:
    """`ts` in milliseconds, as number or text, becomes an aware UTC time, exact to the millisecond."""
    assume(len(str(milliseconds)) != 10)
    parse, one = chosen
    [made] = parse(changed(one, ts=str(milliseconds) if as_text else milliseconds))
    assert made.timestamp.tzinfo is UTC
    assert (made.timestamp - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1) == milliseconds


@pytest.mark.parametrize(
    ("written", "kept"),
    [(1613404835, "16:00:35+"), ("1613404835", "16:00:35+"), (1613404835.0, "16:00:35+"),
     (1613404835.977, "16:00:35.977000+"), (1613404835977.0, "16:00:35.977000+"),
     ("1613404835.977", "16:00:35.977000+"), (1613404835977.5, "16:00:35.977500+"),
     ("1613404835977.0", "16:00:35.977000+"), ("2021-02-15T16:00:35.977Z", "16:00:35.977000+"),
     ("2021-02-15 19:00:35+03:00", "16:00:35+")],
)  # fmt: skip
@pytest.mark.parametrize(("parse", "one"), PARSERS)
def test_other_timestamps(parse: Callable[[bytes | str], Any], one: dict[str, Any], written: Any, kept: str) -> None:
    """Ten digits are seconds, a fraction is a part of that unit, and ISO 8601 with a zone is plain."""
    assert kept in str(parse(changed(one, ts=written))[0].timestamp)


@pytest.mark.parametrize(
    "bad",
    [
        1.5,
        1e300,
        "1.5",
        "1e9",
        "2021-02-15T16:00:35",
        "2021-02-15",
        "0001-01-01T00:00+03:00",
        "",
        "now",
        "-1",
        True,
        [],
        {},
        10**18,
        10**63,
        "９",
        " 5",
    ],
)
@pytest.mark.parametrize(("parse", "one"), PARSERS)
def test_bad_timestamps(parse: Callable[[bytes | str], Any], one: dict[str, Any], bad: Any) -> None:
    """Without a time that a calendar knows, an item is not an event."""
    with pytest.raises(InvalidCallback):
        parse(changed(one, ts=bad))


@pytest.mark.parametrize(("written", "kept"), [("5", "5"), (5, "5"), (234567865432456787634, "234567865432456787634")])
def test_ids(written: Any, kept: str) -> None:
    """Ids are text in the SDK, from text or whole number."""
    assert parse_callbacks(changed(EVENT, messageId=written))[0].message_id == kept
    assert parse_incoming(changed(INCOMING, incomingMessageId=written))[0].incoming_message_id == kept


@pytest.mark.parametrize("bad", [3597944866766620289.0, True, "", [], {}, ["5"]])
def test_bad_ids(bad: Any) -> None:
    """A float has lost digits already, and is never an id."""
    with pytest.raises(InvalidCallback):
        parse_callbacks(changed(EVENT, messageId=bad))
    with pytest.raises(InvalidCallback):
        parse_incoming(changed(INCOMING, incomingMessageId=bad))


def test_null_absent_extra() -> None:
    """Optional fields may be null or absent. Unknown ones are kept, exact. `options` come back as a mapping."""
    bare = {name: EVENT[name] for name in ("messageId", "ts", "status")}
    [event] = parse_callbacks(json.dumps(bare))
    assert (event.error_code, event.options, event.extra) == (None, None, {})
    assert parse_callbacks(changed(bare, errorCode=None, options=None)) == [event]
    [event] = parse_callbacks('{"messageId":5,"ts":1,"status":"SENT","options":{"ref":"o-77"},"price":1.10,"x":null}')
    assert event.options == {"ref": "o-77"}
    assert event.extra == {"price": Decimal("1.10"), "x": None}
    nulls = dict.fromkeys(["to", "from", "text", "transactionId", "prefix", "operator", "countryName"])
    [message] = parse_incoming(changed(nulls, incomingMessageId=5, ts=1))
    assert [message] == parse_incoming('{"incomingMessageId":5,"ts":1}')
    assert (message.text, message.sender, message.prefix, message.extra) == (None, None, None, {})
    assert parse_incoming(changed(INCOMING, prefix=2135, new=[1]))[0].prefix == "2135"


@pytest.mark.parametrize("status", [None, 5, True, "", " ", ["SENT"], {"a": 1}])
def test_odd_statuses(status: Any) -> None:
    """An event without a readable status is not an event. Null is never the text 'None'."""
    with pytest.raises(InvalidCallback):
        parse_callbacks(changed(EVENT, status=status))


@pytest.mark.parametrize(
    ("name", "value"),
    [("errorCode", "x"), ("errorCode", 1.5), ("errorCode", True), ("errorCode", []), ("options", "a"),
     ("options", [["a", "b"]]), ("options", 5)],
)  # fmt: skip
def test_secondary_fields_never_cost_a_status(name: str, value: Any) -> None:
    """errorCode and options that cannot be read are None, and kept in `extra` as they came."""
    [event] = parse_callbacks(changed(EVENT, **{"options": {"a": "b"}, "new": 1, name: value}))
    assert event.status is Status.DELIVERED
    assert (event.error_code is None) is (name == "errorCode")
    assert (event.options is None) is (name == "options")
    assert event.extra.keys() == {name, "new"}
    assert json.loads(json.dumps(event.extra[name], default=float)) == value


@pytest.mark.parametrize(("value", "kept"), [(0.0, 0), (2005.0, 2005), ("2005", 2005), ("", None), (None, None)])
def test_error_codes(value: Any, kept: int | None) -> None:
    """A whole float is a whole number, and an empty str is None."""
    [event] = parse_callbacks(changed(EVENT, errorCode=value))
    assert (event.error_code, event.extra) == (kept, {})


@pytest.mark.parametrize("value", [["H", "i"], True, {"a": "b"}])
@pytest.mark.parametrize("name", ["to", "from", "text", "transactionId", "prefix", "operator", "countryName"])
def test_incoming_messages_with_an_odd_field(name: str, value: Any) -> None:
    """A field of an incoming message that cannot be read costs that field, and is kept in `extra`."""
    [whole], [message] = parse_incoming(changed(INCOMING)), parse_incoming(changed(INCOMING, **{name: value}))
    attribute = {"from": "sender", "transactionId": "transaction_id", "countryName": "country_name"}.get(name, name)
    assert message == evolve(whole, **{attribute: None}, extra={name: value})


def test_numbers_for_text() -> None:
    """A number where text is expected is its text, and an empty str is None."""
    [message] = parse_incoming(changed(INCOMING, text=5, operator=1.5, prefix=7.0, to="", **{"from": 79001234567}))
    assert (message.text, message.operator, message.prefix) == ("5", "1.5", "7")
    assert (message.to, message.sender, message.extra) == (None, PHONE, {})


ODD: list[Any] = [None, True, False, 0, -1, 1.5, 1e300, "", " ", "x", "\u0000", [], [1], {}, {"a": [1]}, 10**30]


@pytest.mark.parametrize("seed", range(8))
def test_one_odd_item_costs_only_itself(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever stands in one field of one item, or in place of it, the others arrive whole and in order."""
    chance = random.Random(seed)
    caplog.set_level("CRITICAL", logger="devino_async")
    for number in range(250):
        statuses = [{**EVENT, "messageId": f"s{each}"} for each in range(chance.randint(1, 4))]
        incoming = [{**INCOMING, "incomingMessageId": f"i{each}"} for each in range(chance.randint(1, 4))]
        items = [*statuses, *incoming]
        chance.shuffle(items)
        good = json.dumps(items)
        base = {**chance.choice([EVENT, INCOMING]), chance.choice(["messageId", "incomingMessageId"]): "odd"}
        odd = {**base, chance.choice([*base, "options", "new"]): chance.choice(ODD)}
        for name in chance.sample(list(odd), chance.choice([0, 0, 1])):
            del odd[name]
        items.insert(chance.randint(0, len(items)), chance.choice([odd, chance.choice(ODD)]))
        body = json.dumps(items)
        for parse, mark in ((parse_callbacks, "message_id"), (parse_incoming, "incoming_message_id")):
            found = [each for each in parse(body) if getattr(each, mark)[:1] in {"s", "i"}]
            assert found == parse(good), f"seed {seed}, case {number}: {body}"


def test_what_is_left_out_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The log says how many items could not be read, and what is wrong with the first, without any value of it."""
    body = json.dumps([EVENT, {**EVENT, "status": ["sesame"]}, "sesame", INCOMING])
    assert len(parse_callbacks(body)) == len(parse_incoming(body)) == 1
    said = [record.getMessage() for record in caplog.records]
    assert said == ["a callback: 2 of 4 events cannot be read, the first one: must be a str @ $.status"] * 2


@pytest.mark.parametrize("other", [None, ""])
def test_an_empty_id_of_the_other_kind(other: Any) -> None:
    """A status change with an incomingMessageId of null or "" is a status change."""
    assert parse_callbacks(changed(EVENT, incomingMessageId=other))[0].status is Status.DELIVERED


NO_CALLBACK = [
    "", " ", "null", "5", '"x"', "{}", "[[]]", "[null]", "[5]", "<html>", "{", '{"ts":NaN}', "[" * 100_000,
    json.dumps(EVENT) + "x", '{"messageId":' + "9" * 5_000 + "}", "messageId=5&status=SENT",
]  # fmt: skip


@pytest.mark.parametrize("body", NO_CALLBACK, ids=range(len(NO_CALLBACK)))
@pytest.mark.parametrize("parse", [parse_callbacks, parse_incoming])
def test_no_callback(parse: Callable[[bytes | str], Any], body: str) -> None:
    """A body of another kind is InvalidCallback, a ValueError, which shows nothing of it."""
    for given_body in (body, body.encode()):
        with pytest.raises(InvalidCallback) as raised:
            parse(given_body)
        assert isinstance(raised.value, ValueError)
        assert raised.value.__context__ is None
        assert len(str(raised.value)) < 200
    with pytest.raises(InvalidCallback):
        parse(b"\xff\xfe")


def test_each_is_not_the_other() -> None:
    """A status callback is not an incoming message, nor the other way round. Each parser takes its own of a mixture."""
    with pytest.raises(InvalidCallback):
        parse_incoming(json.dumps(EVENT))
    with pytest.raises(InvalidCallback):
        parse_callbacks(json.dumps(INCOMING))
    both = json.dumps([EVENT, INCOMING])
    assert parse_callbacks(both) == parse_callbacks(json.dumps(EVENT))
    assert parse_incoming(both) == parse_incoming(json.dumps(INCOMING))


def test_error_shows_no_values() -> None:
    """The error names the place that does not match the API docs and repeats nothing of what stands there."""
    with pytest.raises(InvalidCallback, match="timestamp") as raised:
        parse_incoming(changed(INCOMING, ts=["sesame", PHONE]))
    assert "sesame" not in str(raised.value)
    assert PHONE not in str(raised.value)


def test_values_are_quiet() -> None:
    """The reprs show neither text nor full numbers nor options nor unknown values, pickled and revived too."""
    [event] = parse_callbacks(changed(EVENT, options={"phone": PHONE}, note="sesame"))
    [message] = parse_incoming(changed(INCOMING, text="sesame", to=PHONE, note="sesame"))
    for value in (event, message):
        revived = pickle.loads(pickle.dumps(value))
        assert revived == value
        for shown in (repr(value), str(value), repr(revived)):
            assert PHONE not in shown
            assert "sesame" not in shown


# Defects


@pytest.mark.parametrize(("parse", "one"), PARSERS)
@pytest.mark.parametrize("place", ["id", "ts"])
def test_null_id_or_time(parse: Callable[[bytes | str], Any], one: dict[str, Any], place: str) -> None:
    """An event without id or time is not a callback: message_id is never None, timestamp always an aware time."""
    name = "ts" if place == "ts" else next(iter(one))
    with pytest.raises(InvalidCallback):
        parse(changed(one, **{name: None}))


@pytest.mark.parametrize("name", ["prefix", "transactionId"])
def test_empty_prefix(name: str) -> None:
    """A message without a key word may say so by an empty str, and must not get lost for that."""
    [message] = parse_incoming(changed(INCOMING, **{name: ""}))
    assert message.text == "Hi"


@pytest.mark.parametrize(
    ("parse", "body"),
    [
        (parse_callbacks, '{"messageId":"5","messageId":"6","ts":1,"status":"SENT"}'),
        (parse_incoming, '{"incomingMessageId":"5","ts":1,"text":"a","text":"b"}'),
    ],
)
def test_double_keys(parse: Callable[[bytes | str], Any], body: str) -> None:
    """Two ids in one event: which message is meant cannot be known."""
    with pytest.raises(InvalidCallback):
        parse(body)


def test_exponent_beyond_decimal() -> None:
    """Anybody can post to a callback address: a number that no Decimal can hold is InvalidCallback like all else."""
    with pytest.raises(InvalidCallback):
        parse_callbacks('{"messageId":5,"ts":1e9999999999999999999,"status":"SENT"}')
