"""References: an option that tells which message of a journal a status callback is about.

It goes into the body of a POST only: the message and its fingerprint stay as they are.
"""

import re
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING

from .blobs import lines_of

if TYPE_CHECKING:
    from ..protocol.callbacks import StatusCallback

__all__ = ["NAME", "references_in", "with_references"]

NAME = "dv_ref"
_LINES_A_STEP = 512
# Quotes within texts are escaped, so these stand for fields only.
_CALLBACK, _OPTIONS, _OURS = b',"callbackUrl":', b',"options":{', b'"dv_ref":'
_REFERENCE = re.compile(r"([0-9a-f]{32})-([0-9]{1,5})", re.ASCII)


def with_references(slices: Sequence[bytes], count: int, token: str) -> Generator[None, None, Sequence[bytes]]:
    """Return the JSON of messages, with a reference in each that has a callback address. Yields now and then.

    `token` is random, and names the claim. A message that has an option of this name already keeps that.
    """
    if not any(_CALLBACK in each for each in slices):
        return slices
    lines = lines_of(slices, count)
    made = []
    for start in range(0, count, _LINES_A_STEP):
        some = enumerate(lines[start : start + _LINES_A_STEP], start)
        made.append(b",".join(_referenced(line, f"{token}-{place}") for place, line in some))
        yield
    return made


def _referenced(line: bytes, reference: str) -> bytes:
    if _CALLBACK not in line or _OURS in line:
        return line
    option = b'"%s":"%s"' % (NAME.encode(), reference.encode())
    if _OPTIONS not in line:
        return line[:-1] + _OPTIONS + option + b"}}"
    before, after = line.split(_OPTIONS, 1)
    return before + _OPTIONS + option + (b"" if after.startswith(b"}") else b",") + after


def references_in(events: "Iterable[StatusCallback]") -> dict[str, dict[int, str]]:
    """Return the message ids of callbacks that carry a reference: by the token of a claim, and the place in it."""
    found: dict[str, dict[int, str]] = {}
    for each in events:
        reference = (each.options or {}).get(NAME)
        match = _REFERENCE.fullmatch(reference) if isinstance(reference, str) else None
        if match is not None:
            found.setdefault(match[1], {})[int(match[2])] = each.message_id
    return found
