"""Rows that wait for their turn in the results: messages without a receipt yet, and the other rows between them.

Millions of bad rows may follow a message whose batch is not full yet. So bad rows are kept in a temporary file, which
stays in memory while it is small.
"""

import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from tempfile import SpooledTemporaryFile

from devino_async.campaigns import Row

__all__ = ["WaitingRows"]

_MAX_IN_MEMORY = 4_000_000


class WaitingRows:
    """Rows in the order of the input. Of those with a message only the line and the recipient are kept.

    `keep` returns the text that the result of a row carries of its other cells, which is kept too.

    A client packs the messages that nothing else refers to, so the garbage collector need not scan them.
    """

    def __init__(self, keep: Callable[[Row], str]) -> None:
        self._keep = keep
        self._kept: deque[str] = deque()
        # The line of a row, and its recipient as written, or None for the next bad row in the file.
        self._lines: deque[int] = deque()
        self._tos: deque[str | None] = deque()
        self._bad: SpooledTemporaryFile[bytes] | None = None
        self._count_bad = 0
        self._read_up_to = 0

    def add(self, row: Row) -> None:
        """Add a row at the end."""
        self._lines.append(row.line)
        if row.message is not None:
            self._tos.append(row.to)
            self._kept.append(self._keep(row))
            return
        if self._bad is None:
            self._bad = SpooledTemporaryFile(_MAX_IN_MEMORY)  # noqa: SIM115 - closed by `close`
        self._bad.seek(0, os.SEEK_END)
        self._bad.write(json.dumps([row.problem, row.to, row.left_out, self._keep(row)]).encode() + b"\n")
        self._count_bad += 1
        self._tos.append(None)

    @property
    def begins_bad(self) -> bool:
        """Whether a row without a message is at the head."""
        return bool(self._tos) and self._tos[0] is None

    def take(self) -> Row:
        """Remove and return the row at the head. If it has a message, the row says only its line and recipient."""
        line, to = self._lines.popleft(), self._tos.popleft()
        return self._take_bad(line) if to is None else Row(line, to=to, cells=self._kept.popleft())

    def take_all(self) -> Iterator[Row]:
        """Remove and yield all rows."""
        while self._tos:
            yield self.take()

    def take_bad(self) -> Iterator[Row]:
        """Remove and yield bad rows from the head, until a message is there."""
        while self.begins_bad:
            yield self.take()

    def _take_bad(self, line: int) -> Row:
        assert self._bad is not None  # noqa: S101
        self._bad.seek(self._read_up_to)
        problem, to, left_out, kept = json.loads(self._bad.readline())
        self._read_up_to = self._bad.tell()
        self._count_bad -= 1
        if not self._count_bad:
            self._read_up_to = 0
            self._bad.seek(0)
            self._bad.truncate()
        return Row(line, problem=problem, to=to, left_out=left_out, cells=kept)

    def close(self) -> None:
        """Remove the temporary file."""
        if self._bad is not None:
            self._bad.close()
