"""Buffer: what goes in comes out once and in order, within its bounds, and none waits for room that is there."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from devino_async.flow.buffer import Buffer, Entry

Ints = Buffer[int, None]
Item = Entry[int, None]


def buffer(**options: Any) -> Ints:
    bounds = {"max_count": 100, "max_bytes": 10_000, "max_batch_count": 10, "max_batch_bytes": 1_000}
    return Buffer(**{**bounds, **options})


def entry(number: int, size: int = 1, group: Any = "g") -> Item:
    return Entry(number, b"x" * size, size, group, None)


def add(into: Ints, *entries: Item, now: float = 0.0) -> None:
    for each in entries:
        into.append(each, now)


def taken(made: Ints, now: float = 0.0) -> list[int]:
    return [each.item for each in made.take(now)]


def test_first_in_first_out() -> None:
    """Batches are taken in the order of arrival, the group with the oldest item first, groups never mixed."""
    made = buffer(max_batch_count=3)
    add(made, *(entry(number, group="ab"[number % 3 == 2]) for number in range(8)))
    batches = []
    while batch := taken(made):
        batches.append(batch)
    assert batches == [[0, 1, 3], [2, 5], [4, 6, 7]]
    assert made.due() is None


@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from("ab"), st.booleans()), max_size=60),
    st.integers(1, 8),
    st.integers(1, 120),
)
def test_batches_have_bounds(items: list[tuple[int, str, bool]], count: int, size: int) -> None:
    """Whatever goes in, some of it taken back: no batch is over count or bytes, but for an item that is alone."""
    made = buffer(max_batch_count=count, max_batch_bytes=size)
    entries = [entry(number, size, group) for number, (size, group, _) in enumerate(items)]
    add(made, *entries)
    for each, (_, _, stays) in zip(entries, items, strict=True):
        assert stays or made.discard(each)
    out: dict[str, list[int]] = {"a": [], "b": []}
    while batch := made.take(0.0):
        assert len(batch) <= count
        assert sum(each.size for each in batch) <= size or len(batch) == 1
        [group] = {each.group for each in batch}
        out[group] += [each.item for each in batch]
    for group, got in out.items():
        assert got == [number for number, (_, of, stays) in enumerate(items) if of == group and stays]
    assert len(made) == 0
    assert all(not made.discard(each) for each in entries)


def test_linger() -> None:
    """An item waits so long for others, less if a batch is full or it is flushed. Later items are not hurried."""
    made = buffer(linger=5.0, max_batch_count=3)
    add(made, entry(0), now=10.0)
    add(made, entry(1), now=12.0)
    assert made.due() == 15.0
    assert taken(made, 14.9) == []
    assert taken(made, 15.0) == [0, 1]
    add(made, entry(2), entry(3), entry(4), now=20.0)
    assert made.due() == 0.0, "a full batch waits for nothing"
    assert taken(made, 20.0) == [2, 3, 4]
    add(made, entry(5), now=30.0)
    made.flush()
    add(made, entry(6, group="other"), now=30.0)
    assert taken(made, 30.0) == [5]
    assert made.due() == 35.0


def test_the_door() -> None:
    """Beyond the bounds items wait at the door, first come first served, and a small one overtakes no large one."""
    made = buffer(max_count=2, max_bytes=10)
    first, second = entry(0, 4), entry(1, 4)
    add(made, first, second)
    assert not made.has_room(1)
    add(made, entry(2, 7), entry(3, 1), entry(4, 1))
    assert repr(made) == "Buffer(<2 items, 3 at the door>)"
    assert made.discard(first)
    assert repr(made) == "Buffer(<1 items, 3 at the door>)", "7 bytes have no room, and none overtakes them"
    assert not made.has_room(1), "not what comes now either"
    assert made.discard(second)
    assert taken(made) == [2, 3]
    assert taken(made) == [4]
    assert made.has_room(1)


def test_what_leaves_the_door_lets_others_in() -> None:
    """An item that is discarded at the door keeps no room, and what it kept waiting comes in."""
    made = buffer(max_count=9, max_bytes=10)
    large = entry(1, 9)
    add(made, entry(0, 4), large, entry(2, 4), entry(3, 4))
    assert made.discard(large)
    assert not made.discard(large)
    assert repr(made) == "Buffer(<2 items, 1 at the door>)"
    assert [taken(made), taken(made), taken(made)] == [[0, 2], [3], []]
    assert made.has_room(10)


def test_the_door_ends_the_linger() -> None:
    """Nothing lingers while others wait at the door. A flush counts for what is at the door too."""
    made = buffer(max_count=2, linger=5.0)
    add(made, *(entry(number) for number in range(3)), now=10.0)
    assert made.due() == 0.0
    assert taken(made, 10.0) == [0, 1]
    assert made.due() == 15.0, "there is room again, so the third lingers"
    add(made, entry(3), entry(4), now=11.0)
    made.flush()
    assert taken(made, 11.0) == [2, 3]
    assert taken(made, 11.0) == [4]


def test_an_item_that_is_too_large_comes_in_alone() -> None:
    """An item larger than all the room is taken when nothing else is there, instead of never."""
    made = buffer(max_bytes=10)
    add(made, entry(0, 50), entry(1, 50), entry(2))
    assert [taken(made), taken(made), taken(made)] == [[0], [1], [2]]


def test_turning_away() -> None:
    """What waits at the door can be taken from there in its order. What has room stays."""
    made = buffer(max_count=1)
    add(made, *(entry(number, group=number % 2) for number in range(4)))
    assert [each.item for each in made.take_door()] == [1, 2, 3]
    assert [each.item for each in made] == [0]


class Model:
    """The same rules in the plainest way: two lists, and everything is worked out anew at each step."""

    def __init__(self, count: int, size: int, batch_count: int, batch_size: int, linger: float) -> None:
        self.count, self.size, self.batch_count, self.batch_size = count, size, batch_count, batch_size
        self.linger = linger
        self.inside: list[Item] = []
        self.door: list[Item] = []
        self.flushed: set[int] = set()

    def fits(self, size: int) -> bool:
        used = sum(each.size for each in self.inside)
        return not self.inside or (len(self.inside) < self.count and used + size <= self.size)

    def let_in(self) -> None:
        while self.door and self.fits(self.door[0].size):
            self.inside.append(self.door.pop(0))

    def append(self, each: Item) -> None:
        self.door.append(each)
        self.let_in()

    def discard(self, each: Item) -> bool:
        found = [where for where in (self.inside, self.door) if each in where]
        for where in found:
            where.remove(each)
        self.let_in()
        return bool(found)

    def flush(self) -> None:
        self.flushed |= {each.item for each in [*self.inside, *self.door]}

    def dues(self) -> dict[str, float]:
        by_group: dict[str, list[Item]] = {}
        for each in self.inside:
            by_group.setdefault(each.group, []).append(each)
        return {
            group: 0.0
            if self.door
            or len(members) >= self.batch_count
            or sum(each.size for each in members) >= self.batch_size
            or members[0].item in self.flushed
            or not self.linger
            else members[0].arrived + self.linger
            for group, members in by_group.items()
        }

    def take(self, now: float) -> list[Item]:
        ready = {group for group, due in self.dues().items() if due <= now}
        first = next((each for each in self.inside if each.group in ready), None)
        batch: list[Item] = []
        for each in self.inside:
            if first is not None and each.group == first.group and len(batch) < self.batch_count:
                if batch and sum(one.size for one in batch) + each.size > self.batch_size:
                    break
                batch.append(each)
        self.inside = [each for each in self.inside if each not in batch]
        self.let_in()
        return batch

    def take_door(self) -> list[Item]:
        gone, self.door = self.door, []
        return gone

    def take_all(self) -> list[Item]:
        gone, self.inside, self.door = [*self.inside, *self.door], [], []
        return gone


# Small and large ones beside each other, as the small might overtake the large.
sizes = st.one_of(st.integers(1, 4), st.integers(10, 50))
steps = st.one_of(
    st.tuples(st.just("append"), st.lists(sizes, min_size=1, max_size=8)),
    st.tuples(st.just("append"), st.lists(sizes, min_size=1, max_size=8)),
    st.tuples(st.just("discard"), st.integers(0, 60)),
    st.tuples(st.just("discard late"), st.integers(0, 8)),
    st.tuples(st.just("take"), st.just(0)),
    st.tuples(st.just("flush"), st.just(0)),
    st.tuples(st.just("pass time"), st.integers(1, 4)),
    st.tuples(st.sampled_from(["take_door", "take_all"]), st.just(0)),
)


@settings(max_examples=500)
@given(
    st.lists(steps, min_size=3, max_size=40),
    st.integers(1, 8),
    st.integers(1, 80),
    st.integers(1, 4),
    st.integers(1, 60),
    st.sampled_from([0.0, 3.0]),
)
def test_any_interleaving(
    actions: list[tuple[str, Any]], count: int, size: int, batch_count: int, batch_size: int, linger: float
) -> None:
    """Append, discard, take, flush and time in any order: it decides what a model decides that has no tricks."""
    made = buffer(
        max_count=count, max_bytes=size, max_batch_count=batch_count, max_batch_bytes=batch_size, linger=linger
    )
    model, everything, now = Model(count, size, batch_count, batch_size, linger), list[Item](), 0.0
    for action, number in actions:
        if action == "append":
            for bytes_of_it in number:
                each = entry(len(everything), bytes_of_it, "ab"[len(everything) % 3 == 2])
                everything.append(each)
                made.append(each, now)
                model.append(each)
                agree(made, model)
        elif action.startswith("discard") and everything:
            # The latest ones are those that are likely to be at the door.
            each = everything[(-number - 1 if "late" in action else number) % len(everything)]
            assert made.discard(each) == model.discard(each)
        elif action == "take":
            assert made.take(now) == model.take(now)
        elif action == "pass time":
            now += number
        elif action in {"flush", "take_door", "take_all"}:
            assert getattr(made, action)() == getattr(model, action)()
        agree(made, model)
    now += 10.0
    while batch := model.take(now):
        assert made.take(now) == batch
        agree(made, model)
    assert len(made) == 0


def agree(made: Ints, model: Model) -> None:
    assert repr(made) == f"Buffer(<{len(model.inside)} items, {len(model.door)} at the door>)"
    assert len(made) == len(model.inside) + len(model.door)
    assert {each.item for each in made} == {each.item for each in [*model.inside, *model.door]}
    assert made.due() == min(model.dues().values(), default=None)
    for size in (1, 10, 60):
        assert made.has_room(size) == (not model.door and model.fits(size)), "room was lost, or made from nothing"


def test_it_is_quiet() -> None:
    """No repr shows what waits: not the item, which may hold a number, and not the bytes, which hold the text too."""
    made = buffer()
    one = Entry(79000000001, b'{"to":"79000000001","text":"secret"}', 36, "g", None)
    made.append(one, 0.0)
    assert repr(made) == "Buffer(<1 items, 0 at the door>)"
    assert repr(one) == "Entry(<36 bytes>)"
