"""The wire ledger: how much of a request body was handed to the socket. This alone proves what a server can have.

It only counts. verdict.py draws the conclusions. An exception's class is not evidence and is not looked at here.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from enum import Enum

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from .deadline import deadline

__all__ = ["Handed", "Ledger", "LedgerBody"]

# How much is handed over at a time. Large slices cost less CPU: 3 % less for a campaign than slices of 64 KiB.
SLICE_BYTES = 262_144
# Near the end slices are small and each is drained, so that the last one is held back for as long as possible. Without
# it the service cannot have a complete request. See `send_buffer` in pool.py, and tests/faults/proved_share.py.
LAST_SLICES_BYTES = 16_384
# Where "near the end" begins: more than the buffers on the way usually hold.
NEAR_THE_END_BYTES = 1_048_576


class Handed(Enum):
    """How much of the body was handed over to the socket."""

    NOTHING = "nothing"
    SOME = "some"
    ALL = "all"


class Ledger:
    """The state of one attempt. Once it is sealed nothing more can be handed over, so what it says stays true."""

    def __init__(self) -> None:
        self.handed = Handed.NOTHING
        self.sealed = False

    def seal(self) -> Handed:
        """Let no further slice pass, and return how much was handed over."""
        self.sealed = True
        return self.handed


class SealedError(Exception):
    """The ledger was sealed while the body was being written."""


class LedgerBody(Payload):
    """A request body that goes out slice by slice, each noted in the ledger before it is handed over.

    `stall` is the longest that the socket may refuse to take a slice, in seconds.
    """

    def __init__(self, parts: Sequence[bytes], ledger: Ledger, *, stall: float) -> None:
        super().__init__(parts, content_type="application/json")
        self._parts = parts
        self._ledger = ledger
        self._stall = stall
        self._size = self._length = sum(map(len, parts))
        self._consumed = True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raise TypeError. No caller may have the body in one piece."""
        del encoding, errors
        raise TypeError("the body is only ever written in slices")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all slices."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write all slices. `content_length` is ignored, because it was computed from the same parts."""
        del content_length
        handed = 0
        for piece in self._slices():
            if self._ledger.sealed:
                raise SealedError
            handed += len(piece)
            # Noted before it happens. This runs in aiohttp's writer task, which may be cancelled at any await below:
            # a note made afterwards would be missing for a slice that is on its way.
            self._ledger.handed = Handed.ALL if handed == self._size else Handed.SOME
            # A body of one small slice never has to wait for the socket.
            async with deadline(self._stall) if self._length > LAST_SLICES_BYTES else nullcontext():
                await writer.write(piece)
                await writer.drain()
                if self._ledger.handed is not Handed.ALL:
                    # A fast peer never makes the drain wait, so give other tasks their turn here.
                    await asyncio.sleep(0)

    def _slices(self) -> Iterator[bytes]:
        """Yield the parts in pieces: small neighbours are joined, big ones cut."""
        run: list[bytes] = []
        size, left = 0, self._length
        for part in self._parts:
            run.append(part)
            size += len(part)
            if size >= _slice_bytes(left):
                yield from _cut(run[0] if len(run) == 1 else b"".join(run), left)
                left -= size
                run, size = [], 0
        if run:
            yield b"".join(run)


def _cut(joined: bytes, left: int) -> Iterator[bytes]:
    at = 0
    while at < len(joined):
        wanted = _slice_bytes(left - at)
        yield joined[at : at + wanted]
        at += wanted


def _slice_bytes(left: int) -> int:
    # A large slice ends where the small ones begin, so that none of the last bytes travels in a large one.
    return max(LAST_SLICES_BYTES, min(SLICE_BYTES, left - NEAR_THE_END_BYTES))
