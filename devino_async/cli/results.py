"""The results of sending: one row for every row of the input, in the same order, and the counts.

The sending itself is in sending.py.
"""

import csv
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

import devino_async
from devino_async.campaigns import Row, describe_reasons

from .cells import csv_cell
from .console import as_json, open_output, say, silence

__all__ = ["Results", "opened"]

_COLUMNS = ("line", "to", "outcome", "message_id", "segment_ids", "error")
_SHOWN_PROBLEMS = 20
_OUTCOMES = ("accepted", "rejected", "not_sent", "unconfirmed", "invalid")


class Results:
    """Writes results as they come. Without a file they are only counted. `message_ids` are kept only on request.

    If writing to the file fails, nothing is raised, because messages are still in flight. `broken` holds the reason.
    """

    def __init__(self, file: IO[str] | None, form: str, *, keep_ids: bool = False) -> None:
        self._file = file
        self._keeps_ids = keep_ids
        self.message_ids: list[str] = []
        self._csv = csv.writer(file, lineterminator="\n") if file is not None and form == "csv" else None
        self.broken: str | None = None
        self.counts: Counter[str] = Counter()
        if self._csv is not None:
            self._csv.writerow(_COLUMNS)

    def invalid(self, row: Row) -> None:
        """Add a row that is not a message."""
        if self.counts["invalid"] < _SHOWN_PROBLEMS:
            say(f"line {row.line}: {row.problem}")
        elif self.counts["invalid"] == _SHOWN_PROBLEMS:
            say("more bad rows follow; they are in the results and in the summary")
        self._add({"line": row.line, "to": row.to, "outcome": "invalid", "error": row.problem})

    def receipt(self, row: Row, receipt: "devino_async.Receipt") -> None:
        """Add the receipt of a row."""
        if self._keeps_ids and isinstance(receipt, devino_async.Accepted):
            self.message_ids.append(receipt.message_id)
        self._add({"line": row.line, "to": row.to, **_cells_of(receipt)})

    def not_handed_over(self, row: Row, why: str) -> None:
        """Add a row that was read, but not given to the client."""
        if row.message is None:
            self.invalid(row)
        else:
            self._add({"line": row.line, "to": row.to, "outcome": "not_sent", "error": why})

    def flush(self) -> None:
        """Make the results so far visible to their reader."""
        if self._file is None:
            return
        try:
            self._file.flush()
        except OSError as error:
            self._break(self._file, error)

    def summary(self) -> Iterator[str]:
        """Yield the counts, and advice where it is needed."""
        yield f"{self.counts.total():,} rows: " + ", ".join(
            f"{self.counts[outcome]:,} {outcome.replace('_', ' ')}"
            for outcome in _OUTCOMES
            if self.counts[outcome] or outcome == "accepted"
        )
        if self.counts["not_sent"]:
            yield "not sent: provably never processed, so sending those rows again is safe"
        if self.counts["unconfirmed"]:
            yield (
                "unconfirmed: may have been sent; do not send them again blindly, look them up with "
                "`devino details --from ... --to ... --recipient ...` in a few minutes"
            )
        if self.broken is not None:
            yield f"the results are incomplete: {self.broken}; the counts above are complete"

    @property
    def all_accepted(self) -> bool:
        """Whether every row was accepted."""
        return self.counts.total() == self.counts["accepted"]

    def finish(self) -> None:
        """Write out everything, and close the file unless it is stdout."""
        self.flush()
        file, self._file, self._csv = self._file, None, None
        if file is not None and file is not sys.stdout:
            file.close()

    def _add(self, result: dict[str, Any]) -> None:
        self.counts[result["outcome"]] += 1
        if self._file is None:
            return
        try:
            self._write(self._file, result)
        except OSError as error:
            self._break(self._file, error)

    def _write(self, file: IO[str], result: dict[str, Any]) -> None:
        if self._csv is not None:
            cells = {**result, "segment_ids": " ".join(result.get("segment_ids", ()))}
            self._csv.writerow([csv_cell(cells.get(name)) for name in _COLUMNS])
        else:
            file.write(as_json(result) + "\n")

    def _break(self, file: IO[str], error: OSError) -> None:
        self._file = self._csv = None
        self.broken = error.strerror or type(error).__name__
        # Otherwise closing the file would try to write the buffered text, and raise again.
        silence(file)
        if file is not sys.stdout:
            file.close()


def opened(output: Path | None, source: IO[bytes], *, overwrite: bool) -> tuple[IO[str] | None, str]:
    """Open the file for the results. Return it and its format: CSV if its suffix is .csv, else JSON lines.

    Raises click.UsageError if the file cannot be written or is the input itself. A file that is not empty is refused
    in the same way unless `overwrite` is set.
    """
    if output is None:
        return None, "jsonl"
    if str(output) == "-":
        return sys.stdout, "jsonl"
    form = "csv" if output.suffix.lower() == ".csv" else "jsonl"
    if _is_same(output, source):
        raise click.UsageError("--output is the input file")
    return open_output(output, overwrite=overwrite), form


def _is_same(output: Path, source: IO[bytes]) -> bool:
    try:
        return os.path.samestat(output.stat(), os.fstat(source.fileno()))
    except (OSError, ValueError):
        return False


def _cells_of(receipt: "devino_async.Receipt") -> dict[str, Any]:
    match receipt:
        case devino_async.Accepted(_, message_id, segment_ids):
            cells: dict[str, Any] = {"outcome": "accepted", "message_id": message_id}
            return {**cells, "segment_ids": list(segment_ids)} if segment_ids else cells
        case devino_async.Rejected(_, reasons, description):
            return {"outcome": "rejected", "error": describe_reasons(reasons) or description or "no reason given"}
        case devino_async.NotSent(_, error):
            return {"outcome": "not_sent", "error": str(error)}
        case devino_async.Unconfirmed(_, error):
            return {"outcome": "unconfirmed", "error": str(error)}
