"""The rate of segments: counted in steps, for batches and single sends, and only if it is asked for."""

from typing import Any

import pytest
import virtual_time
from hypothesis import given
from hypothesis import strategies as st
from storm_lab import OPTIONS, Lab, accepted

from devino_async import Accepted, Message, Priority
from devino_async.client.pieces import segments_in
from devino_async.exchange import Answer, Call
from devino_async.flow.chunking import Chunk
from devino_async.protocol.packing import Packed
from devino_async.protocol.text import segments_of


class Noting:
    """Accepts all, and notes when each send begins and how many segments it was said to have."""

    def __init__(self) -> None:
        self.begun: list[float] = []
        self.segments: list[int] = []

    async def exchange(self, call: Call) -> Answer:
        self.begun.append(virtual_time.now())
        self.segments.append(call.segments)
        return accepted(call)


def message(text: str, **options: Any) -> Message:
    return Message(sender="MyCompany", to="79000000001", text=text, **options)


texts = st.text(st.sampled_from("aя€😀"), min_size=1, max_size=300)


@given(st.lists(texts, max_size=30), st.booleans())
def test_the_count(some: list[str], packed: bool) -> None:
    """A chunk has as many segments as its texts have, whether its messages are packed or not."""
    items: Any = [message(text) for text in some]
    if packed:
        items, rest = Packed(), items
        items.extend(rest)
    counting = segments_in(Chunk(items))
    with pytest.raises(StopIteration) as ended:
        while True:
            next(counting)
    assert ended.value.value == sum(map(segments_of, some))


@pytest.mark.parametrize("text", ["Ваш код {}", "€" * 100 + "{}", "one text for all"])
def test_no_step_is_long(text: str) -> None:
    """The count of a full batch lets others have their turn after every few thousand characters."""
    chunk = Chunk([message(text.format(number)) for number in range(32_000)])
    steps = sum(1 for _ in segments_in(chunk))
    assert steps >= 32_000 * 16 / 8_192 - 1
    if "{}" in text:
        assert steps >= 32_000 * (16 + len(text)) / (8_192 + len(text) + 16) - 1


def test_a_stream_is_paced() -> None:
    """Batches of a stream begin as fast as their segments allow: here 200 in each, at 100 a second."""
    lab = Lab(service := Noting(), segments_per_second=100)
    some = [message("я" * 71) for _ in range(500)]

    async def run() -> None:
        receipts = [each async for each in lab.dispatch.stream(some, 100, OPTIONS)]
        assert {type(each) for each in receipts} == {Accepted}

    virtual_time.run(run())
    assert service.segments == [200] * 5
    assert service.begun == pytest.approx([0, 2, 4, 6, 8])


def test_single_sends_are_paced() -> None:
    """A single send pays for its segments too, and an urgent one is counted like any other."""
    lab = Lab(service := Noting(), segments_per_second=1)

    async def run() -> None:
        for text, priority in (("a" * 161, None), ("a", None), ("a" * 400, Priority.REALTIME)):
            assert isinstance(await lab.send(message(text, priority=priority)), Accepted)

    virtual_time.run(run())
    assert service.segments == [2, 1, 3]
    assert service.begun[:2] == pytest.approx([0, 2])


def test_nothing_is_counted_unasked() -> None:
    """Without that rate nothing is counted, so it costs nothing."""
    lab = Lab(service := Noting(), messages_per_second=1_000_000)

    async def run() -> None:
        async for _ in lab.dispatch.stream([message("я" * 71)] * 10, 5, OPTIONS):
            pass

    virtual_time.run(run())
    assert service.segments == [0, 0]
