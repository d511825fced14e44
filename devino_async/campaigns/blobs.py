"""Blobs: how the parts of a campaign are packed into the columns of a file.

All of them are compressed with zlib, whose checksum reveals damage. What does not compress is stored with level 0.
"""

import json
import struct
import zlib
from collections.abc import Sequence

from .states import Mark, needs_bodies

__all__ = [
    "SCHEDULED",
    "Damaged",
    "blanked",
    "lines_of",
    "pack_bodies",
    "pack_bytes",
    "pack_positions",
    "unpack_bodies",
    "unpack_bytes",
    "unpack_positions",
]

# Messages never hold a raw line feed: JSON escapes it. A quote in a text is escaped too, so this occurs only
# between messages.
_BETWEEN = b',{"from":'
_LINE = b'\n{"from":'
SCHEDULED = b'"scheduledTime":'
"""What only the JSON of a scheduled message has in it."""
_SLICES_A_BLOCK = 64
_ALL_MARKS = bytes(value for name, value in vars(Mark).items() if name.isupper())
_KEPT = bytes(mark for mark in _ALL_MARKS if needs_bodies(bytes((mark,))))


class Damaged(Exception):
    """A blob is not what was stored."""


def pack_bytes(plain: bytes, level: int = 1) -> bytes:
    """Return the bytes as they are stored."""
    return zlib.compress(plain, level)


def unpack_bytes(packed: bytes | None) -> bytes:
    """Return what was packed. Raises Damaged if it is damaged."""
    if packed is None:
        return b""
    try:
        return zlib.decompress(packed)
    except (zlib.error, TypeError) as error:
        raise Damaged from error


def ends_of(positions: Sequence[int]) -> tuple[int, int]:
    """Return the lowest and the highest of some positions."""
    return (positions[0], positions[-1]) if isinstance(positions, range) else (min(positions), max(positions))


def pack_positions(positions: Sequence[int]) -> bytes | None:
    """Return positions as they are stored: None if each is one more than the one before."""
    if isinstance(positions, range) or list(positions) == list(range(positions[0], positions[0] + len(positions))):
        return None
    return zlib.compress(struct.pack(f"<{len(positions)}q", *positions), 1)


def unpack_positions(packed: bytes | None, first: int, last: int) -> Sequence[int]:
    """Return the positions of a part. Raises Damaged if they are damaged."""
    if packed is None:
        return range(first, last + 1)
    plain = unpack_bytes(packed)
    if len(plain) % 8:
        raise Damaged
    return struct.unpack(f"<{len(plain) // 8}q", plain)


def pack_bodies(slices: Sequence[bytes]) -> bytes:
    """Return messages as they are stored until their outcome is known: compressed, and split only when read.

    They are compressed in blocks of about a megabyte. The thread waits for the GIL after each block, so blocks must not
    be small. It holds the GIL while it joins a block, so they must not be large either.
    """
    packer = zlib.compressobj(1)
    packed = []
    for at in range(0, len(slices), _SLICES_A_BLOCK):
        block = b",".join(slices[at : at + _SLICES_A_BLOCK])
        # No line feed is expected. One would be read as the end of a message.
        if b"\n" in block:
            return zlib.compress(b"\n".join(_lines_of_any(b",".join(slices))), 1)
        packed.append(packer.compress(b"," + block if at else block))
    packed.append(packer.flush())
    return b"".join(packed)


def unpack_bodies(packed: bytes | None, count: int) -> list[bytes]:
    """Return the JSON of each of `count` messages, or blank lines. Raises Damaged if there are not as many."""
    plain = unpack_bytes(packed)
    # If some messages are settled, every message has a line, and theirs are blank.
    lines = plain.split(b"\n") if b"\n" in plain else _lines_in(plain, count)
    if len(lines) != count:
        raise Damaged
    return lines


def lines_of(slices: Sequence[bytes], count: int) -> list[bytes]:
    """Return the JSON of each message."""
    return _lines_in(b",".join(slices), count)


def _lines_in(plain: bytes, count: int) -> list[bytes]:
    if b"\n" not in plain:
        lines = plain.replace(_BETWEEN, _LINE).split(b"\n")
        if len(lines) == count:
            return lines
    return _lines_of_any(plain)


def _lines_of_any(plain: bytes) -> list[bytes]:
    try:
        return [json.dumps(each, ensure_ascii=False).encode() for each in json.loads(b"[%s]" % plain)]
    except ValueError:
        raise Damaged from None


def blanked(lines: Sequence[bytes], marks: bytes) -> bytes | None:
    """Return the lines as they are stored: blank for each message that is neither in doubt nor unsent."""
    if not needs_bodies(marks):
        return None
    kept = [line if mark in _KEPT else b"" for line, mark in zip(lines, marks, strict=True)]
    return zlib.compress(b"\n".join(kept), 1)
