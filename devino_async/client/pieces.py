"""Pieces: what one POST of a batch holds. Its options, its call, and where a chunk is cut.

How pieces become the receipts of a batch is in batches.py.
"""

from collections.abc import Generator
from datetime import datetime
from functools import cache

from attrs import evolve, frozen

from ..errors import Reason
from ..exchange import Call, Claim, Lane, TooManyForHalfOpen
from ..flow.chunking import Chunk
from ..protocol import sending
from ..protocol.message import Message
from ..protocol.packing import Packed
from ..protocol.text import segments_of
from ..transport.breaker import Ticket

__all__ = ["SendOptions", "call_of", "cut_after", "missed_in", "segments_in"]

_MESSAGES_A_STEP = 512
_CHARACTERS_A_STEP = 8_192
# What every text costs, however short it is, measured in characters.
_CHARACTERS_A_TEXT = 16


@frozen(kw_only=True, eq=False)
class SendOptions:
    """The options of one POST. Messages with different options never share a POST.

    There is only one object for each combination of options, so that comparing them costs nothing.
    """

    include_segment_id: bool = False
    shorten_url: bool = False
    keyed: bool = False
    """Whether the messages have keys. Messages without keys must not wait for the journal."""

    @staticmethod
    @cache
    def of(include_segment_id: bool, shorten_url: bool, keyed: bool = False) -> "SendOptions":
        """Return the one object for these options."""
        return SendOptions(include_segment_id=bool(include_segment_id), shorten_url=bool(shorten_url), keyed=keyed)


def call_of(
    chunk: Chunk[Message],
    options: SendOptions,
    ticket: Ticket,
    came_to: TooManyForHalfOpen,
    claim: Claim | None,
    *,
    segments: int = 0,
) -> Call:
    """Return the call for a chunk. If a larger call was cut down to this one, its count of attempts goes on here."""
    call = sending.call(
        chunk.slices,
        len(chunk.items),
        include_segment_id=options.include_segment_id,
        shorten_url=options.shorten_url,
        urgent=ticket.lane is Lane.URGENT,
        admission=ticket,
        claim=claim,
    )
    if segments:
        call = evolve(call, segments=segments)
    if came_to.attempt > 1:
        call = evolve(call, attempt=came_to.attempt, counted=came_to.counted, give_up_at=came_to.give_up_at)
    return call


def missed_in(chunk: Chunk[Message], now: datetime) -> Generator[None, None, dict[int, Reason]]:
    """Return the problems of messages whose scheduled time has passed, by their place in the chunk."""
    missed: dict[int, Reason] = {}
    if (yield from sending.may_be_scheduled(chunk.slices)):
        for at, message in enumerate(chunk.items):
            if (problem := sending.missed_schedule(message, now)) is not None:
                missed[at] = problem
            if at % _MESSAGES_A_STEP == 0:
                yield
    return missed


def segments_in(chunk: Chunk[Message]) -> Generator[None, None, int]:
    """Return how many segments the messages of a chunk have. Yields after every few thousand characters."""
    items = chunk.items
    texts = (text for _, _, text, _ in items.fields()) if isinstance(items, Packed) else (each.text for each in items)
    total, looked_at = 0, 0
    text, segments = "", 1
    for each in texts:
        looked_at += _CHARACTERS_A_TEXT
        # A campaign often has one text.
        if each != text:
            text, segments = each, segments_of(each)
            looked_at += len(text)
        total += segments
        if looked_at >= _CHARACTERS_A_STEP:
            looked_at = 0
            yield
    return total


def cut_after(chunk: Chunk[Message], count: int) -> Generator[None, None, tuple[Chunk[Message], Chunk[Message] | None]]:
    """Return the first `count` messages of a chunk, and the others."""
    first, others = chunk.items[:count], chunk.items[count:]
    small = Chunk(first, (yield from sending.encode_in_steps(first)), chunk.position)
    return small, Chunk(others, (yield from sending.encode_in_steps(others)), chunk.position + count)
