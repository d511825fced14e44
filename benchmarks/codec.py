"""The codec alone, on one batch of 32,000: building, encoding, decoding, and its longest step on the event loop.

Beside it stand floors that check nothing: plain dicts and hand-made classes with slots, with the json module and with
orjson where that is installed. Which JSON library reads how exactly is json_libraries.py's.
"""

import asyncio
import gc
import json
import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

from campaign import BATCH, TEXT, made_dicts, made_messages, own_dicts, own_messages
from canned_server import body_of, sending_answer
from json_libraries import ORJSON_MISSING, orjson
from measuring import OURS, Contender, in_turn, percentile, show, speeds, steps

from devino_async.exchange import Answer
from devino_async.flow.chunking import Chunks
from devino_async.flow.steps import at_once, in_steps
from devino_async.protocol import send_results, sending
from devino_async.protocol.packing import Packed

ROUNDS = 7
ROUNDS_OF_STEPS = 15


class BareMessage:
    """A message that checks nothing."""

    __slots__ = ("sender", "text", "to")

    def __init__(self, sender: str, to: str, text: str) -> None:
        self.sender = sender
        self.to = to
        self.text = text


class BareReceipt:
    """A receipt that checks nothing."""

    __slots__ = ("message", "message_id", "segment_ids")

    def __init__(self, message: Any, message_id: str, segment_ids: tuple[str, ...]) -> None:
        self.message = message
        self.message_id = message_id
        self.segment_ids = segment_ids


def made_bare() -> list[BareMessage]:
    return [BareMessage(sender="MyCompany", to=f"7900{number:07}", text=TEXT) for number in range(BATCH)]


async def encoded(messages: list[Any]) -> list[Any]:
    """The messages as send_many encodes and keeps them, chunk by chunk, framed for the wire."""
    chunks = Chunks(messages, encode=sending.encode, hold=Packed, max_count=BATCH, max_bytes=10**9)
    return [sending.call(chunk.slices, len(chunk.items)) async for chunk in chunks]


async def read(body: bytes, messages: list[Any]) -> None:
    await in_steps(send_results.read(Answer(status=200, body=body), messages))


async def handed_out(body: bytes, messages: list[Any]) -> None:
    """Make receipts as they are taken, as send_many does. Reading is not part of the steps."""
    receipts = at_once(send_results.read(Answer(status=200, body=body), messages))
    await asyncio.sleep(0)
    for run in receipts.take():
        for _ in run:
            pass
        await asyncio.sleep(0)


def decoded(body: bytes, messages: list[Any]) -> list[Any]:
    """One receipt for each message, by the SDK. All are kept, as those of the floors are."""
    receipts = at_once(send_results.read(Answer(status=200, body=body), messages))
    return [receipt for run in receipts.take() for receipt in run]


def decoded_by_hand(loads: Callable[[bytes], Any], body: bytes, messages: list[Any]) -> list[Any]:
    return [
        BareReceipt(message, result["messageId"], tuple(result.get("segmentsId") or ()))
        for message, result in zip(messages, loads(body)["result"], strict=True)
    ]


def encoders(dicts: list[Any], messages: list[Any]) -> dict[str, Callable[[], Any]]:
    """Ways to encode one batch."""
    ways: dict[str, Callable[[], Any]] = {
        "json.dumps": lambda: json.dumps({"messages": dicts}).encode(),
        "json.dumps(ensure_ascii=False)": lambda: json.dumps({"messages": dicts}, ensure_ascii=False).encode(),
        OURS: lambda: asyncio.run(encoded(messages)),
    }
    if orjson is not None:
        dumps = orjson.dumps
        ways = {"orjson.dumps": lambda: dumps({"messages": dicts}), **ways}
    return ways


def contenders() -> dict[str, list[Contender]]:
    """All contenders, for each piece of work."""
    messages, dicts = list(made_messages(BATCH)), list(made_dicts(BATCH))
    works: dict[str, dict[str, Callable[[], Any]]] = {
        "build and check": {
            "plain dicts": lambda: list(made_dicts(BATCH)),
            "bare class with slots": made_bare,
            OURS: lambda: list(made_messages(BATCH)),
        },
        "encode": encoders(dicts, messages),
        "encode, own texts": encoders(list(own_dicts(BATCH)), list(own_messages(BATCH))),
    }
    for with_segments in (False, True):
        body = body_of(sending_answer(BATCH, with_segments))
        ways: dict[str, Callable[[], Any]] = {
            "json.loads, bare receipts": partial(decoded_by_hand, json.loads, body, dicts),
            OURS: partial(decoded, body, messages),
        }
        if orjson is not None:
            ways = {"orjson.loads, bare receipts": partial(decoded_by_hand, orjson.loads, body, dicts), **ways}
        works[f"decode, {'with' if with_segments else 'without'} segment ids"] = ways
    return {
        group: [Contender(name, lambda _, work=work: work()) for name, work in ways.items()]
        for group, ways in works.items()
    }


def longest_steps() -> None:
    """How long the codec blocks the event loop at a time, without garbage collection."""
    messages = list(own_messages(BATCH))
    plain, segmented = (body_of(sending_answer(BATCH, with_segments)) for with_segments in (False, True))
    works = {
        "encode": lambda: encoded(messages),
        "read, without segment ids": lambda: read(plain, messages),
        "read, with segment ids": lambda: read(segmented, messages),
        "hand out, without segment ids": lambda: handed_out(plain, messages),
        "hand out, with segment ids": lambda: handed_out(segmented, messages),
    }
    rows = []
    for name, work in works.items():
        rounds: list[list[float]] = []
        for _ in range(ROUNDS_OF_STEPS):
            gc.collect()
            gc.disable()
            taken = steps(work())
            gc.enable()
            rounds.append(taken[1:] if name.startswith("hand out") else taken)
        longest = [max(taken) for taken in rounds]
        p99 = percentile([each for taken in rounds for each in taken], 0.99)
        figures = (statistics.median(longest), max(longest), p99)
        rows.append([name, f"{len(rounds[0])}", *(f"{each:.2f}" for each in figures)])
    show(
        f"steps of the codec between two turns of the event loop, batch of {BATCH:,}, ms; {ROUNDS_OF_STEPS} rounds,\n"
        "garbage collection off; aims: none over 5, p99 under 3",
        ["", "steps", "longest, median round", "longest of all", "p99"],
        rows,
    )


def table() -> None:
    """A table for each piece of work, and one of steps."""
    for group, everybody in contenders().items():
        measured = in_turn(everybody, ROUNDS)
        show(
            f"{group}, one batch of {BATCH:,}; best of {ROUNDS}, garbage collection off",
            ["", "messages/s", "ms", "ours is faster by"],
            speeds(BATCH, everybody, measured),
        )
    if orjson is None:
        print(ORJSON_MISSING)
    longest_steps()


if __name__ == "__main__":
    table()
