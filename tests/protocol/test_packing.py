"""Packed messages: a sequence like the list that was put in, whether the program still holds its messages or not."""

import gc
import pickle
from datetime import UTC
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from devino_async import Message, Priority
from devino_async.protocol.packing import Packed

optional: dict[str, st.SearchStrategy[Any]] = {
    "validity": st.none() | st.integers(0, 259_200),
    "scheduled_time": st.none() | st.datetimes(timezones=st.just(UTC)),
    "priority": st.none() | st.sampled_from(Priority),
    "callback_url": st.none() | st.just("https://example.com/devino"),
    "options": st.none() | st.dictionaries(st.text("ab"), st.text("ab"), max_size=2),
}
fields = st.just({}) | st.fixed_dictionaries(optional)


def made(number: int, rest: dict[str, Any]) -> Message:
    return Message(sender="MyCompany", to=f"7900{number:07}", text=f"Код {number}", **rest)


@given(st.lists(st.tuples(fields, st.booleans()), max_size=20), st.lists(st.integers(1, 5)), st.data())
def test_it_is_the_list_that_was_put_in(given_: list[tuple[dict[str, Any], bool]], runs: list[int], data: Any) -> None:
    """For any messages, held elsewhere or not, in runs of any size: same length, items, slices and slices of slices."""
    expected = [made(number, rest) for number, (rest, _) in enumerate(given_)]
    held = {number: expected[number] for number, (_, is_held) in enumerate(given_) if is_held}
    packed, at = Packed(), 0
    for size in [*runs, len(given_)]:
        numbers = range(at, min(at + size, len(given_)))
        packed.extend([held[number] if number in held else made(number, given_[number][0]) for number in numbers])
        at = numbers.stop
    assert len(packed) == len(expected)
    assert list(packed) == expected
    start, stop = data.draw(st.integers(-25, 25)), data.draw(st.integers(-25, 25))
    assert list(packed[start:stop]) == expected[start:stop]
    assert list(packed[start:stop][1:3]) == expected[start:stop][1:3]
    if -len(expected) <= start < len(expected):
        assert packed[start] == expected[start]


def test_what_others_hold_is_the_very_same() -> None:
    """A message that its maker still holds comes back as that object, not as another one that equals it."""
    mine = [made(number, {}) for number in range(5)]
    packed = Packed()
    packed.extend([*mine])
    packed.extend([made(5, {}), mine[0], made(6, {})])
    got = list(packed)
    assert all(a is b for a, b in zip(got, mine, strict=False))
    assert got[6] is mine[0]
    assert packed[6] is mine[0]


@given(fields)
def test_what_is_made_again_is_as_good(rest: dict[str, Any]) -> None:
    """A message that was packed is frozen, hashes, shows and pickles as the first one did."""
    packed = Packed()
    packed.extend([made(1, rest)])
    [got] = packed
    first = made(1, rest)
    assert (got, hash(got), repr(got)) == (first, hash(first), repr(first))
    assert pickle.loads(pickle.dumps(got)) == first
    assert got.options is None or type(got.options) is type(first.options)


def test_nothing_for_the_collector_to_look_through() -> None:
    """Packed messages are no objects that the garbage collector knows of, however many there are."""

    def known() -> int:
        gc.collect()
        return sum(type(each) is Message for each in gc.get_objects())

    packed = Packed()
    before = known()
    for start in range(0, 6_400, 64):
        packed.extend([made(number, {}) for number in range(start, start + 64)])
    assert len(packed) == 6_400
    assert known() <= before
    # The lists of fields are such objects, so they are long, and few.
    assert len(reached_from(packed)) < len(packed) / 50


def reached_from(packed: Packed) -> dict[int, object]:
    """Return the objects of a batch that the garbage collector looks at."""
    found: dict[int, object] = {}
    new: list[object] = [packed]
    while new:
        new = [each for each in new if gc.is_tracked(each) and not isinstance(each, type) and id(each) not in found]
        found |= {id(each): each for each in new}
        new = gc.get_referents(*new)
    return found


@given(st.integers(1, 700), st.integers(1, 700))
def test_a_slice_never_grows(before: int, after: int) -> None:
    """A slice of a batch stays the same if messages are added to the batch afterwards."""
    packed = Packed()
    packed.extend([made(number, {}) for number in range(before)])
    part = packed[:before]
    packed.extend([made(number, {}) for number in range(before, before + after)])
    assert list(part) == [made(number, {}) for number in range(before)]
    assert len(packed) == before + after
