"""What became of all recorded messages of a campaign, for an input that comes in another order.

The messages of a chunk may then be in any part. Reading all parts for every chunk would take time that grows with the
square of the campaign's size. So each part is read once, and its results stay in memory: about 30 bytes for each
message, and more for one with segment ids.
"""

import json
from array import array
from collections.abc import Generator, Sequence
from typing import Any

from ..flow.steps import Turns, in_steps
from .journal import Journal
from .merging import Packing, each_result
from .results import Results
from .states import Mark, Record

__all__ = ["Scattered"]

# There are few windows, because a part with positions in several of them is read for each.
_WINDOWS = 16
_MIN_WINDOW = 8_000
_MESSAGES_A_STEP = 256
# A place holds the number of a text in its upper half, and an offset in this text in its lower half.
_HALF = 32
_LOWER = (1 << _HALF) - 1
_WITH_RESULTS = {Mark.ACCEPTED, Mark.REJECTED, Mark.UNCONFIRMED, Mark.ASSUMED_SENT}


class Scattered:
    """The marks and results of recorded messages by position. Use `of` to read them from a journal."""

    def __init__(self, size: int) -> None:
        # A message without a record may be sent, like a planned one.
        self._marks = bytearray((Mark.PLANNED,)) * size
        self._places = array("Q", bytes(8 * size))
        # The results of each part: two lines for an accepted message, and one for any other.
        self._texts: list[bytes] = []
        self._tokens: set[str] = set()

    def __repr__(self) -> str:
        return f"Scattered({len(self._marks):,} messages)"

    @classmethod
    async def of(cls, journal: Journal, name: str, turns: Turns) -> "Scattered":
        """Read what a campaign has recorded. Raises ValueError and the like if results are damaged."""
        size = await journal.recorded(name)
        made = cls(size)
        window = max(_MIN_WINDOW, -(-size // _WINDOWS))
        for start in range(0, size, window):
            for record in await journal.records(name, start, min(start + window, size)):
                if record.token not in made._tokens:
                    made._tokens.add(record.token)
                    await in_steps(made._add(record), turns)
        return made

    def _add(self, record: Record) -> Generator[None, None, None]:
        Results(record.marks, record.results)
        yield
        number = len(self._texts)
        text = bytearray()
        results = each_result(record.marks, record.results)
        for done, (position, mark, result) in enumerate(zip(record.positions, record.marks, results, strict=True), 1):
            # A message that has moved has its mark and its result in another part.
            if mark != Mark.MOVED:
                self._marks[position] = mark
                self._places[position] = number << _HALF | len(text)
                text += _lines_of(result)
            if done % _MESSAGES_A_STEP == 0:
                yield
        self._texts.append(bytes(text))

    def record(self, wanted: Sequence[int], token: str) -> Generator[None, None, Record]:
        """Return the messages at these positions, in this order, as if one part held them. Skips negative positions."""
        marks = bytearray()
        packing = Packing()
        for done, position in enumerate(wanted, 1):
            mark = self._marks[position] if position >= 0 else Mark.PLANNED
            marks.append(mark)
            packing.add(*self._result(position, mark))
            if done % _MESSAGES_A_STEP == 0:
                yield
        return Record(token=token, positions=wanted, fingerprints=b"", marks=bytes(marks), results=packing.packed())

    def _result(self, position: int, mark: int) -> Sequence[Any]:
        if mark not in _WITH_RESULTS:
            return ("",)
        place = self._places[position]
        text, start = self._texts[place >> _HALF], place & _LOWER
        end = text.index(b"\n", start)
        line = text[start:end].decode()
        if mark == Mark.ACCEPTED:
            return "ids", line, text[end + 1 : text.index(b"\n", end + 1)].decode()
        result: Sequence[Any] = json.loads(line)
        return result


def _lines_of(result: Sequence[Any]) -> bytes:
    name, *values = result
    # Ids and the text of segment ids hold no line feed, and JSON escapes it.
    plain = f"{values[0]}\n{values[1]}\n" if name == "ids" else f"{json.dumps(result)}\n" if name else ""
    return plain.encode()
