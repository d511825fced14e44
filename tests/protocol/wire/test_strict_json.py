"""Strict JSON: what it reads is what json reads, exactly; what it refuses names no value."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async.flow.steps import at_once
from devino_async.protocol.wire.converter import Mismatch, as_id, structure
from devino_async.protocol.wire.strict_json import DoubleKeys, Run, Unreadable, decode, members, text_in_steps

scalars = (
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.text(max_size=20)
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=3)
)  # fmt: skip
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=25,
)
# Names with a blank in front are left to test_name_with_a_blank_in_front.
names = st.text(max_size=6).filter(lambda name: not name[:1].isspace()) | st.sampled_from(["result", "data"])
objects = st.dictionaries(names, trees, max_size=5)


def written(tree: Any, **style: Any) -> str:
    """JSON text of a tree with decimals."""
    marks: dict[str, str] = {}

    def marked(value: Any) -> str:
        mark = f"\ue000{len(marks)}\ue001"
        marks[json.dumps(mark, ensure_ascii=style.get("ensure_ascii", True))] = f"{value:f}"
        return mark

    text = json.dumps(tree, default=marked, **style)
    for mark, number in marks.items():
        text = text.replace(mark, number)
    return text


styles = st.sampled_from(
    [
        {},
        {"indent": 1},
        {"ensure_ascii": False},
        {"separators": (",", ":")},
        {"indent": "\t", "separators": (" ,", " : ")},
    ]
)


def same(left: Any, right: Any) -> bool:
    """Equal and of the same kinds: 1 is not True, and not 1.0."""
    if isinstance(left, dict):
        return isinstance(right, dict) and left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return isinstance(right, list) and len(left) == len(right) and all(map(same, left, right))
    return type(left) is type(right) and left == right


@given(trees, styles)
def test_decode_reads_what_json_reads(tree: Any, style: dict[str, Any]) -> None:
    """Any JSON is read as the standard library reads it, with decimals exact, as text or bytes, BOM or not."""
    text = written(tree, **style)
    expected = json.loads(text, parse_float=Decimal)
    encoded = text.encode("utf-8", "surrogatepass")
    assert same(decode(text), expected)
    assert same(decode(f" \r\n{text}\t "), expected)
    assert same(decode(encoded), expected)
    assert same(decode(b"\xef\xbb\xbf" + encoded), expected)


def rebuilt(text: str, *path: str) -> dict[str, Any]:
    """The top-level object as the members give it."""
    tops: dict[int, dict[str, Any]] = {0: {}}
    for depth, name, value in members(text, *path):
        level = tops.setdefault(depth, {})
        if isinstance(value, Run):
            level[name] = [*level.get(name, []), *value]
        else:
            level[name] = value
    if 1 in tops:
        tops[0][path[0]] = tops[1]
    return tops[0]


@given(objects, styles)
def test_members_read_what_json_reads(tree: dict[str, Any], style: dict[str, Any]) -> None:
    """Read member by member, any object is the same object; streamed arrays lose no item."""
    text = written(tree, **style)
    expected = json.loads(text, parse_float=Decimal)
    assert same(rebuilt(text), expected)
    assert same(rebuilt(text, "result"), expected)


@given(st.lists(trees, max_size=6), objects, styles)
def test_nested_members(rows: list[Any], beside: dict[str, Any], style: dict[str, Any]) -> None:
    """An array two levels down is streamed with all that stands around it."""
    tree = {**beside, "result": {**beside, "data": rows}}
    text = written(tree, **style)
    assert same(rebuilt(text, "result", "data"), json.loads(text, parse_float=Decimal))


@given(objects.filter(bool), styles, st.data())
def test_cut_anywhere(tree: dict[str, Any], style: dict[str, Any], data: st.DataObject) -> None:
    """An answer cut at any byte is Unreadable, never half an answer taken for a whole one."""
    text = written(tree, **style).rstrip()
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(Unreadable):
        decode(cut)
    for path in ((), ("result",), ("result", "data")):
        with pytest.raises(Unreadable):
            list(members(cut, *path))


BROKEN = {
    "empty": "",
    "blank": " \n",
    "html": "<html><body>502</body></html>",
    "trailing text": '{"a": 1} x',
    "two values": '{"a": 1}{"a": 1}',
    "nan": '{"a": NaN}',
    "infinity": '{"a": Infinity}',
    "minus infinity": '{"a": -Infinity}',
    "huge integer": '{"a": ' + "9" * 5_000 + "}",
    "integer of 65 digits": '{"a": ' + "9" * 65 + "}",
    "decimal of 65 characters": '{"a": 0.' + "9" * 63 + "}",
    "huge decimal": '{"a": 0.' + "9" * 5_000 + "}",
    "deep array": '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "deep object": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "control character": '{"a": "x\ny"}',
    "single quotes": "{'a': 1}",
    "trailing comma": '{"a": 1,}',
    "no colon": '{"a" 1}',
    "comment": '{"a": 1 /* x */}',
    "bare word": '{"a": tru}',
    "leading zero": '{"a": 01}',
    "hexadecimal": '{"a": 0x1F}',
    "two boms": "\ufeff\ufeff" + '{"a": 1} \ufeff',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_unreadable(body: str) -> None:
    """A body that is not trustworthy JSON is Unreadable, in both readers, and the error repeats nothing of it."""
    for read in (decode, lambda text: list(members(text)), lambda text: list(members(text, "a"))):
        for given_body in (body, body.encode()):
            with pytest.raises(Unreadable) as raised:
                read(given_body)
            assert len(str(raised.value)) < 100
            assert raised.value.__cause__ is None


def test_not_utf8() -> None:
    """Bytes in another encoding are Unreadable."""
    for body in ('{"a": "я"}'.encode("cp1251"), '{"a": 1}'.encode("utf-16"), b'{"a": "\xff"}'):
        with pytest.raises(Unreadable):
            decode(body)


@pytest.mark.parametrize("number", ["1e9999999999999999999", "-1E+99999999999999999999", "1e-9999999999999999999999"])
def test_exponent_beyond_decimal(number: str) -> None:
    """A number whose exponent no Decimal can hold is Unreadable, not a foreign error out of the reading."""
    with pytest.raises(Unreadable):
        decode(f'{{"a": {number}}}')


@pytest.mark.parametrize("blank", [" ", "\t", "\n"])
def test_name_with_a_blank_in_front(blank: str) -> None:
    """` result` is another name than `result`, and a raw line break in a name is not JSON at all."""
    text = f'{{"{blank}result": 1, "result": 2}}'
    if blank == " ":
        assert list(members(text)) == [(0, " result", 1), (0, "result", 2)]
    else:
        with pytest.raises(Unreadable, match="broken key"):
            list(members(text))


def test_numbers_are_exact() -> None:
    """Ids above 2^64 stay integers, and money stays decimal to the last digit."""
    big, money = 234567865432456787634, "1000.80000000000000000000000000000000001"
    assert same(decode(f"[{big}, {money}, 1e2, -0.0]"), [big, Decimal(money), Decimal("1e2"), Decimal("-0.0")])
    assert decode("[" + "9" * 64 + "]") == [10**64 - 1]


def test_double_keys() -> None:
    """Two values under one key: the object says so, and at the streamed levels it is Unreadable."""
    assert type(decode('{"a": {"b": 1, "b": 1}}')["a"]) is DoubleKeys
    assert type(decode('{"a": 1, "a": 2}')) is DoubleKeys
    [(_, _, run)] = members('{"a": [{"b": 1, "b": 2}, {"b": 1}]}', "a")
    assert [type(item) for item in run] == [DoubleKeys, dict]
    for text in ('{"a": 1, "a": 2}', '{"result": {"data": [], "data": []}}', '{"a": 1, "\\u0061": 2}'):
        with pytest.raises(Unreadable):
            list(members(text, "result", "data"))


def test_members_give_what_comes_before_the_break() -> None:
    """What stands before the place where reading ends is still given, as evidence."""
    given_members = []
    with pytest.raises(Unreadable):
        for member in members('{"result": [{"a": 1}, {"a": 2}, {"a"', "result"):
            given_members.append(member)  # noqa: PERF402 - a comprehension would lose what came before the error
    assert given_members == [(0, "result", [{"a": 1}, {"a": 2}])]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 128, 1_000])
def test_long_arrays_come_in_runs(count: int) -> None:
    """A long array comes in Runs of a few dozen items, none lost or doubled; an empty one as one empty Run."""
    text = json.dumps({"result": [{"n": index} for index in range(count)], "code": "OK"})
    found = list(members(text, "result"))
    assert found.pop() == (0, "code", "OK")
    assert all(type(run) is Run and len(run) <= 64 for _, _, run in found)
    assert [item["n"] for _, _, run in found for item in run] == list(range(count))
    assert len(found) == max(1, -(-count // 64))


@pytest.mark.parametrize("body", ["[]", '"text"', "5", "null", "true"])
def test_members_need_an_object(body: str) -> None:
    """Only an object has members."""
    with pytest.raises(Unreadable):
        list(members(body))
    assert decode(body) == json.loads(body)


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("letter", ["a", "я", "€", "😀"])
def test_long_texts_in_steps(letter: str, before: int) -> None:
    """A long body becomes text in several steps, also where one ends within a letter; broken ones are told."""
    text = "." * before + letter * 600_000
    reading = text_in_steps(text.encode())
    assert len(list(reading)) == (len(text.encode()) - 1) // 524_288
    assert at_once(text_in_steps(text.encode())) == text
    assert at_once(text_in_steps(b"")) == ""
    for broken in (text.encode() + "€".encode()[:2], b"\xff" + text.encode()):
        with pytest.raises(Unreadable):
            at_once(text_in_steps(broken))


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "9" * 65, "9" * 5_000, "0." + "9" * 70, "1e99999999999999999999"]
)
def test_numbers_beyond_trust_read_leniently(number: str) -> None:
    """Read leniently, a number that cannot be trusted is a float, which no reader accepts, and the rest is read."""
    text = f'{{"a": [{{"b": 5}}, {{"b": {number}, "c": 1.5}}, {number}]}}'
    first, second, third = decode(text, lenient=True)["a"]
    assert (first, second["c"]) == ({"b": 5}, Decimal("1.5"))
    assert type(second["b"]) is type(third) is float
    [(_, _, run)] = members(text, "a", lenient=True)
    assert [type(item) for item in run] == [dict, dict, float]
    for kind in (str, int, bool, Decimal):
        with pytest.raises(Mismatch):
            structure(third, kind)
    with pytest.raises(Mismatch):
        as_id(third)
