"""The codec alone, on one batch of 32,000: beside the standard library on plain dicts, which checks nothing."""

import asyncio
import gc
import json
import time
from collections.abc import Callable
from typing import Any

from campaign import BATCH, made_dicts, made_messages
from canned_server import sending_answer

from devino_async.exchange import Answer
from devino_async.flow.chunking import Chunks
from devino_async.flow.steps import at_once
from devino_async.protocol import send_results, sending

ROUNDS = 7


def best(work: Callable[[], Any]) -> float:
    """The shortest of a few rounds, in milliseconds, without garbage collection."""
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        gc.disable()
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
        gc.enable()
    return min(times) * 1000


def table() -> None:
    """A row for each direction."""
    messages, dicts = list(made_messages(BATCH)), list(made_dicts(BATCH))
    body = sending_answer(BATCH, False).partition(b"\r\n\r\n")[2]
    answer = Answer(status=200, body=body)

    async def chunked() -> list[Any]:
        chunks = Chunks(messages, encode=sending.encode, max_count=BATCH, max_bytes=10**9)
        return [chunk async for chunk in chunks]

    rows = {
        "build and check": (lambda: list(made_dicts(BATCH)), lambda: list(made_messages(BATCH))),
        "encode": (
            lambda: json.dumps({"messages": dicts}, ensure_ascii=False).encode(),
            lambda: asyncio.run(chunked()),
        ),
        "decode": (
            lambda: [(d, r["messageId"]) for d, r in zip(dicts, json.loads(body)["result"], strict=True)],
            lambda: [list(run) for run in at_once(send_results.read(answer, messages)).take()],
        ),
    }
    print(f"\ncodec, one batch of {BATCH:,}, ms; best of {ROUNDS}, garbage collection off")
    print(f"{'':20}{'json, plain dicts':>20}{'devino_async':>16}{'ratio of speed':>16}")
    for name, (theirs, ours) in rows.items():
        floor, own = best(theirs), best(ours)
        print(f"{name:20}{floor:>20.1f}{own:>16.1f}{floor / own:>16.2f}")


if __name__ == "__main__":
    table()
