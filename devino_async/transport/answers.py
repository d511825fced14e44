"""Reading an answer: its body, bounded in bytes after decompression, and its Retry-After.

protocol/ interprets the body, and verdict.py decides what an unreadable one proves.
"""

import asyncio
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from aiohttp import ClientResponse

__all__ = ["TooLong", "UnknownCoding", "read_body", "wait_asked_for"]

_STEP_BYTES = 262_144


class TooLong(Exception):
    """The decoded body is longer than the call allows."""


class UnknownCoding(Exception):
    """The body is compressed in a way that the request did not allow."""


async def read_body(response: ClientResponse, limit: int, into: bytearray) -> None:
    """Read the whole body, decompressed, into `into`. What was read stays there if reading fails.

    aiohttp does not limit decompression (254 KiB of gzip can become 256 MiB). So it is turned off there and done here.
    """
    coding = response.headers.get("Content-Encoding", "").strip().lower()
    if coding in {"", "identity"}:
        async for piece in response.content.iter_any():
            _append(piece, limit, into)
    elif coding in {"gzip", "x-gzip", "deflate"}:
        decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        async for piece in response.content.iter_any():
            for plain in _plain(decompressor, piece):
                _append(plain, limit, into)
                # Decompressing is CPU work and never waits, so give other tasks their turn here.
                await asyncio.sleep(0)
        if not decompressor.eof:
            raise zlib.error("cut")
    else:
        raise UnknownCoding


def _append(piece: bytes, limit: int, into: bytearray) -> None:
    into += piece[: limit - len(into) + 1]
    if len(into) > limit:
        raise TooLong


def _plain(decompressor: "zlib._Decompress", piece: bytes) -> Iterator[bytes]:
    while piece:
        yield decompressor.decompress(piece, _STEP_BYTES)
        piece = decompressor.unconsumed_tail


def wait_asked_for(header: str | None, date: str | None, now: datetime) -> float | None:
    """Return the wait in seconds that a Retry-After header asks for, or None if it holds neither a number nor a date.

    A date is compared with the answer's own Date header, because the clocks of service and client may differ. Without
    that header it is compared with `now`.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    moment = _moment(text)
    if moment is None:
        return None
    return max((moment - (_moment(date or "") or now)).total_seconds(), 0.0)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
