"""The ledger: what it says is true at every moment, because it is noted before it happens and never after a seal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from devino_async.transport.ledger import (
    LAST_SLICES_BYTES,
    NEAR_THE_END_BYTES,
    SLICE_BYTES,
    Handed,
    Ledger,
    LedgerBody,
    SealedError,
)


class Writer:
    """Stands where aiohttp's writer stands: notes what the ledger says whenever a slice is handed over."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.seen: list[tuple[int, Handed]] = []
        self.written = bytearray()
        self.drained = 0

    async def write(self, piece: bytes) -> None:
        assert len(self.seen) == self.drained, "a slice was handed over before the one before it was drained"
        self.seen.append((len(piece), self.ledger.handed))
        self.written += piece

    async def drain(self) -> None:
        self.drained += 1


async def written(parts: list[bytes], seal_after: int | None = None) -> Writer:
    ledger = Ledger()
    writer: Any = Writer(ledger)
    body = LedgerBody(parts, ledger, stall=5.0)
    if seal_after is not None:
        drain = writer.drain

        async def sealing() -> None:
            await drain()
            if writer.drained == seal_after:
                ledger.seal()

        writer.drain = sealing
    await body.write_with_length(writer, body.size)
    return writer  # type: ignore[no-any-return]


PARTS = some.lists(some.integers(1, 3 * SLICE_BYTES // 2).map(lambda size: b"x" * size), min_size=1, max_size=10)


@given(parts=PARTS)
async def test_every_moment(parts: list[bytes]) -> None:
    """The last slice, and only the last, is noted as ALL, and that before it is handed over. Nothing is lost."""
    writer = await written(parts)
    assert bytes(writer.written) == b"".join(parts)
    assert [handed for _, handed in writer.seen[:-1]] == [Handed.SOME] * (len(writer.seen) - 1)
    assert writer.seen[-1][1] is Handed.ALL


@given(parts=PARTS)
async def test_slices_are_bounded(parts: list[bytes]) -> None:
    """No slice is larger than its bound, and each is drained before the next."""
    writer = await written(parts)
    assert max(size for size, _ in writer.seen) <= SLICE_BYTES
    assert writer.drained == len(writer.seen)


@given(parts=PARTS)
async def test_the_last_slices_are_small(parts: list[bytes]) -> None:
    """Near the end every slice is small, so that the last one stays back for as long as possible.

    A large slice ends where the small ones begin.
    """
    writer = await written(parts)
    left = len(writer.written)
    for size, _ in writer.seen:
        assert size <= max(LAST_SLICES_BYTES, left - NEAR_THE_END_BYTES)
        left -= size
    assert left == 0


async def test_a_sealed_ledger_lets_nothing_pass() -> None:
    """Once the verdict is made, no further slice goes out, and what the ledger said stays true."""
    parts = [b"x" * SLICE_BYTES] * 5
    with pytest.raises(SealedError):
        await written(parts, seal_after=3)


async def test_an_unused_ledger() -> None:
    """Before anything is written the ledger says so, and sealing says the same."""
    ledger = Ledger()
    assert ledger.handed is Handed.NOTHING
    assert ledger.seal() is Handed.NOTHING
