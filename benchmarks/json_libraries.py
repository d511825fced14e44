"""Which JSON library reads the answers: orjson, the json module and the SDK's own way, on speed and on exactness.

An id is a number of any length and money is a decimal. What a library does not keep here is lost for good. Typed
results are reads.py's and codec.py's.
"""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from canned_server import body_of, details_answer, sending_answer, statuses_answer
from measuring import OURS, Contender, in_turn, show, speeds

from devino_async.protocol.wire import strict_json

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

ROUNDS = 15
ORJSON_MISSING = "orjson is not installed and left out: pip install 'devino-async[bench]'"
# 2^64 + 1, and a price.
EXACT = b"[18446744073709551617, 1.10]"


def ways() -> dict[str, Callable[[bytes], Any]]:
    known: dict[str, Callable[[bytes], Any]] = {"json.loads": json.loads, OURS: strict_json.decode}
    return known if orjson is None else {"orjson.loads": orjson.loads, **known}


def contenders() -> dict[str, tuple[int, list[Contender]]]:
    """How many rows each answer holds, and all that read it."""
    answers = {
        "answer to a send of 32,000": (32_000, sending_answer(32_000, False)),
        "statuses of 500": (500, statuses_answer([b"%d" % (10**18 + number) for number in range(500)])),
        "page of 500 details": (500, details_answer(0, 500)),
    }
    return {
        name: (
            count,
            [
                Contender(way, lambda body, loads=loads: loads(body), partial(body_of, framed))
                for way, loads in ways().items()
            ],
        )
        for name, (count, framed) in answers.items()
    }


def table() -> None:
    """A table for each answer, and what becomes of exact numbers."""
    for name, (count, everybody) in contenders().items():
        show(
            f"JSON alone, whole, nothing typed: {name}; best of {ROUNDS}, garbage collection off",
            ["", "rows/s", "ms", "ours is faster by"],
            speeds(count, everybody, in_turn(everybody, ROUNDS)),
        )
    show(
        "what becomes of an id above 2^64 and of a price",
        ["", "18446744073709551617", "1.10"],
        [[name, *map(repr, loads(EXACT))] for name, loads in ways().items()],
    )
    if orjson is None:
        print(ORJSON_MISSING)


if __name__ == "__main__":
    table()
