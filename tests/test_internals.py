"""Every use of another library's internals, in one table: what, where, what for, and whether it is still as we use it.

A private name of another library that the package uses and the table does not list fails a test too.
"""

import dis
import inspect
import json
import sys
from collections.abc import Callable
from enum import StrEnum
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path

import aiohttp
import pytest
import tenacity
from attrs import frozen

sys.path.insert(0, str(Path(__file__).parent))

from foreign_names import FILES, ROOT, foreign_names

from devino_async import Message
from devino_async.protocol.packing import Packed
from devino_async.protocol.receipt_runs import Receipts
from devino_async.protocol.receipts import Accepted
from devino_async.transport.ledger import Ledger, LedgerBody


@frozen(kw_only=True)
class Use:
    """One use. `files` are those of the package, or of the tests where the path begins with `tests/`."""

    library: str
    name: str
    files: tuple[str, ...]
    purpose: str
    check: Callable[[], bool]
    otherwise: str


class Colour(StrEnum):
    RED = "red"


def a_message() -> Message:
    return Message(sender="MyCompany", to="79000000001", text="Hello")


def body() -> LedgerBody:
    return LedgerBody([b"two ", b"parts"], Ledger(), stall=1.0)


def repeats_a_get() -> bool:
    """Whether the attribute is still what decides on aiohttp's own repeat."""
    return "self._retry_connection and" in inspect.getsource(aiohttp.ClientSession._request)


def scans_in_place() -> bool:
    scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
    try:
        scan("nonsense", 0)
    except StopIteration:
        return bool(scan('x{"a": 1}x', 1) == ({"a": 1}, 9) and scanstring('x"a"x', 2, True) == ("a", 4))
    return False


def changes_class() -> bool:
    """Whether an object of a plain class with the same slots can become a frozen one, and keeps its values."""
    receipts = Receipts()
    receipts.accepted([a_message()], ["1"])
    [made] = receipts
    return type(made) is Accepted and made == Accepted(a_message(), "1") and a_message() == a_message()


def counts_references() -> bool:
    """Whether a message that one list holds is packed, and one that another name holds too is kept as it is."""
    held = a_message()
    packed = Packed()
    packed.extend([a_message(), held])
    return packed[1] is held and packed[0] is not packed[0]


def waits_without_its_loop() -> bool:
    rules = tenacity.AsyncRetrying(wait=tenacity.wait_exponential(multiplier=0.5, max=3.0))
    waits = []
    for number in (1, 2, 3, 4):
        state = tenacity.RetryCallState(rules, None, (), {})
        state.attempt_number = number
        waits.append(rules.wait(state))
    return waits == [0.5, 1.0, 2.0, 3.0]


def compiles_imports() -> bool:
    code = compile("from .there import name as name", "here", "exec")
    steps = [(step.opname, step.argval) for step in dis.get_instructions(code)]
    place = steps.index(("IMPORT_NAME", "there"))
    return steps[place - 2][1] == 1 and steps[place + 1] == ("IMPORT_FROM", "name")


USES = [
    Use(
        library="aiohttp",
        name="_retry_connection",
        files=("transport/pool.py",),
        purpose="aiohttp repeats a GET by itself when a pooled connection breaks; attempts are counted by retry.py",
        check=repeats_a_get,
        otherwise="find what switches aiohttp's own repeat off now, or count attempts for look-ups anew",
    ),
    Use(
        library="aiohttp",
        name="_size",
        files=("transport/ledger.py",),
        purpose="the Content-Length of a body that is written in slices",
        check=lambda: body().size == 9,
        otherwise="override Payload.size in LedgerBody instead, else bodies go out chunked",
    ),
    Use(
        library="aiohttp",
        name="_consumed",
        files=("transport/ledger.py",),
        purpose="a body that was written once must not be written a second time by aiohttp",
        check=lambda: body().consumed,
        otherwise="override Payload.consumed in LedgerBody instead",
    ),
    Use(
        library="aiohttp",
        name="write_with_length",
        files=("transport/ledger.py",),
        purpose="the ledger notes each slice here; what is written past it has no evidence",
        check=lambda: "_body.write_with_length(" in inspect.getsource(aiohttp.client_reqrep.ClientRequest),
        otherwise="see how ClientRequest writes a Payload now; no release before tests/faults pass with it",
    ),
    Use(
        library="aioresponses",
        name="stream_writer",
        files=("tests/transport/test_read_sequences.py",),
        purpose="aioresponses 0.7.9 makes a ClientResponse without the argument that aiohttp 3.14 added",
        check=lambda: "stream_writer" in inspect.signature(aiohttp.ClientResponse).parameters,
        otherwise="adapt or drop the class Adapted in that file; only tests use it",
    ),
    Use(
        library="tenacity",
        name="attempt_number",
        files=("transport/retry.py",),
        purpose="tenacity's rule of waiting is asked without its loop, which costs every call 20 us",
        check=waits_without_its_loop,
        otherwise="hand the failed attempt to tenacity's loop, or compute backoff * 2^(n-1) in RetryPolicy",
    ),
    Use(
        library="CPython json",
        name="scanstring",
        files=("protocol/wire/strict_json.py",),
        purpose="reads one key, so that a long object is read in steps",
        check=scans_in_place,
        otherwise="use json.decoder.py_scanstring, which is the same in Python and slower",
    ),
    Use(
        library="CPython json",
        name="scan_once",
        files=("protocol/wire/strict_json.py",),
        purpose="reads one value in place, with exact integers: items of a long array are read in steps",
        check=scans_in_place,
        otherwise="use JSONDecoder.raw_decode, which raises JSONDecodeError and is slower",
    ),
    Use(
        library="CPython enum",
        name="_value2member_map_",
        files=("protocol/details.py", "protocol/statistics.py", "protocol/wire/converter.py"),
        purpose="finds a member by its value in one look-up, without an exception for a value that is new",
        check=lambda: Colour._value2member_map_ == {"red": Colour.RED},
        otherwise="build a dict of value -> member for each enum",
    ),
    Use(
        library="CPython object",
        name="__class__",
        files=("protocol/message.py", "protocol/receipts.py"),
        purpose="a draft with the same slots becomes a frozen value: tens of thousands are made at a time",
        check=changes_class,
        otherwise="make them by their constructors, and measure benchmarks/campaign.py and codec.py again",
    ),
    Use(
        library="CPython sys",
        name="getrefcount",
        files=("protocol/packing.py",),
        purpose="a message that nobody else holds is kept as its fields, and spares the garbage collector",
        check=counts_references,
        otherwise="set packing._references to None, which keeps all messages as they are, and measure the stalls",
    ),
    Use(
        library="CPython sys",
        name="_getframe",
        files=("__init__.py",),
        purpose="the code of the front door's own module",
        check=lambda: sys._getframe().f_code.co_name == "<lambda>",
        otherwise="read it by __spec__.loader.get_code(__name__)",
    ),
    Use(
        library="CPython dis",
        name="get_instructions",
        files=("__init__.py",),
        purpose="the imports for type checkers are the only list of public names",
        check=compiles_imports,
        otherwise="see what the compiler makes of `from .a import b` now, and read that in the front door's _homes()",
    ),
]


@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.library}-{use.name}")
def test_internals_are_as_we_use_them(use: Use) -> None:
    """What is used of a library beyond its documentation is still there and still means the same."""
    try:
        good = use.check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the sentence below says what to do
        good, why = False, f" ({type(error).__name__}: {error})"
    else:
        why = ""
    assert good, (
        f"{use.library} has changed {use.name}{why}. It is used in {', '.join(use.files)}. Its purpose: {use.purpose}. "
        f"What to do: {use.otherwise}."
    )


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_use_is_in_the_table(path: Path) -> None:
    """A file that uses a private name of another library has a row for it in the table above."""
    listed = {use.name for use in USES if path.as_posix() in use.files}
    used = foreign_names(path)
    assert used <= listed, (
        f"{path} uses {sorted(used - listed)}: list it in USES of tests/test_internals.py, or do without"
    )


@pytest.mark.parametrize("use", USES, ids=lambda use: f"{use.library}-{use.name}")
def test_the_table_is_true(use: Use) -> None:
    """What the table lists is really used in those files."""
    for file in use.files:
        path = Path(__file__).parents[1] / file if file.startswith("tests/") else ROOT / file
        assert use.name in path.read_text(encoding="utf-8"), f"{file} does not use {use.name}: take it out of the table"
