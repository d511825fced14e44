"""Recipients: which numbers a file has, and where each came first. This is exact, and takes about 13 bytes a number.

A set of ints would need about 65 bytes a number, and would have to be copied as it grows.
"""

from array import array
from bisect import bisect_left

__all__ = ["Recipients"]

# With a million numbers, a shelf has 245, and an insertion moves two kilobytes. A prime number of shelves spreads
# consecutive numbers evenly.
_SHELVES = 4_093
_MAX_LINE = 2**32 - 1


class Recipients:
    """The numbers seen so far, each with the line where it came first."""

    def __init__(self) -> None:
        self._numbers: list[array[int]] = []
        self._lines: list[array[int]] = []
        for _ in range(_SHELVES):
            self._numbers.append(array("Q"))
            self._lines.append(array("I"))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def first_line(self, number: str, line: int) -> int | None:
        """Remember a number, and return the line where it came before, or None. The number is E.164 digits."""
        value = int(number)
        shelf = value % _SHELVES
        numbers, lines = self._numbers[shelf], self._lines[shelf]
        at = bisect_left(numbers, value)
        if at < len(numbers) and numbers[at] == value:
            return lines[at]
        numbers.insert(at, value)
        lines.insert(at, min(line, _MAX_LINE))
        self._count += 1
        return None
