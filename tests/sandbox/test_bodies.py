"""Property: a body read in slices gives what the standard library gives, or is refused where that raises."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devino_async.sandbox.bodies import slices_of
from devino_async.sandbox.envelope import Refusal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.lists(st.dictionaries(st.text("abc", max_size=3), VALUES, max_size=3), max_size=20)


def read(text: str) -> list[Any]:
    return [message for each in slices_of(text.encode()) for message in each]


@given(MESSAGES, st.sampled_from([None, 0, 2]), st.booleans())
@settings(deadline=None)
def test_slices_joined_are_the_messages(messages: list[Any], indent: int | None, more: bool) -> None:
    """The messages come out in order, with any whitespace and any other members in the body."""
    body = {"messages": messages} | ({"other": 1} if more else {})
    assert read(json.dumps(body, ensure_ascii=False, indent=indent)) == messages
    assert read(json.dumps(dict(reversed(body.items())))) == messages


def test_big_bodies_come_in_several_slices() -> None:
    """No slice of a big body is much longer than the limit of a slice."""
    slices = list(slices_of(json.dumps({"messages": [{"text": "x" * 1_000}] * 1_000}).encode()))
    assert sum(map(len, slices)) == 1_000
    assert max(map(len, slices)) < 20


@given(MESSAGES.filter(bool), st.data())
@settings(deadline=None)
def test_cut_bodies_are_refused(messages: list[Any], data: st.DataObject) -> None:
    """A body that ends too early is refused."""
    text = json.dumps({"messages": messages})
    with pytest.raises(Refusal):
        read(text[: data.draw(st.integers(0, len(text) - 1))])


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400"])
@pytest.mark.parametrize("body", ['{{"messages": [{{"text": {}}}]}}', '{{"other": {}, "messages": []}}'])
def test_numbers_that_no_answer_could_hold(number: str, body: str) -> None:
    """A number that is not finite is refused, because an answer that repeats it would not be JSON."""
    with pytest.raises(Refusal):
        read(body.format(number))


@pytest.mark.parametrize("end", ["]", "]}}", "]} x", ",]}", ']"a":1}', "}"])
def test_rubbish_after_the_messages(end: str) -> None:
    """The rest of the body after the messages must be JSON too."""
    with pytest.raises(Refusal):
        read('{"messages": [{"text": "x"}' + end)
