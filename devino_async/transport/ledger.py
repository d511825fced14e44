"""The wire ledger: how much of a request body was handed to the socket. The only evidence of what a server can hold.

Counting only; what follows from it is verdict.py's. An exception's class is no evidence and is not looked at here.
"""

import asyncio
from collections.abc import Iterator, Sequence
from enum import Enum

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

__all__ = ["Handed", "Ledger", "LedgerBody"]

# Small slices, each drained, leave the last one unsent for as long as possible; see SEND_BUFFER in pool.py.
SLICE_BYTES = 16_384


class Handed(Enum):
    """How much of the body was handed over to the socket."""

    NOTHING = "nothing"
    SOME = "some"
    ALL = "all"


class Ledger:
    """The state of one attempt. Once sealed nothing more can be handed over, so that what it says stays true."""

    def __init__(self) -> None:
        self.handed = Handed.NOTHING
        self.sealed = False

    def seal(self) -> Handed:
        """Let no further slice pass, and say how much did."""
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
        self._size = sum(map(len, parts))
        self._consumed = True

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Not offered: nobody needs the body in one piece."""
        del encoding, errors
        raise TypeError("the body is only ever written in slices")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all slices."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write all slices; the length was declared from the same parts."""
        del content_length
        handed = 0
        for piece in self._slices():
            if self._ledger.sealed:
                raise SealedError
            handed += len(piece)
            # Noted before it happens: a cut between the two then errs on the safe side.
            self._ledger.handed = Handed.ALL if handed == self._size else Handed.SOME
            async with asyncio.timeout(self._stall):
                await writer.write(piece)
                await writer.drain()
                if self._ledger.handed is not Handed.ALL:
                    # A fast peer never makes the drain wait; others on the loop must have their turn all the same.
                    await asyncio.sleep(0)

    def _slices(self) -> Iterator[bytes]:
        """The parts in pieces of about SLICE_BYTES: small neighbours joined, big ones cut."""
        run: list[bytes] = []
        size = 0
        for part in self._parts:
            run.append(part)
            size += len(part)
            if size >= SLICE_BYTES:
                joined = run[0] if len(run) == 1 else b"".join(run)
                yield from (joined[at : at + SLICE_BYTES] for at in range(0, size, SLICE_BYTES))
                run, size = [], 0
        if run:
            yield b"".join(run)
