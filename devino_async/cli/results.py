"""The results of sending: a row for every row of the input, in its order, and the counts."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from devino_async import Accepted, NotSent, Receipt, Rejected, Unconfirmed

from .rows import Row
from .running import as_json, say

__all__ = ["Results", "form_of"]

_COLUMNS = ("line", "to", "outcome", "message_id", "segment_ids", "error")
_SHOWN_PROBLEMS = 20
_OUTCOMES = ("accepted", "rejected", "not_sent", "unconfirmed", "invalid")


class Results:
    """Writes results as they come. Without a file they are only counted."""

    def __init__(self, file: IO[str] | None, form: str) -> None:
        self._file = file
        self._csv = csv.writer(file, lineterminator="\n") if file is not None and form == "csv" else None
        if self._csv is not None:
            self._csv.writerow(_COLUMNS)
        self.counts: Counter[str] = Counter()

    def invalid(self, row: Row) -> None:
        """A row that is no message."""
        if self.counts["invalid"] < _SHOWN_PROBLEMS:
            say(f"line {row.line}: {row.problem}")
        elif self.counts["invalid"] == _SHOWN_PROBLEMS:
            say("more bad rows follow; they are in the results and in the summary")
        self._write({"line": row.line, "to": row.to, "outcome": "invalid", "error": row.problem})

    def receipt(self, row: Row, receipt: Receipt) -> None:
        """What became of a row."""
        self._write({"line": row.line, "to": row.to, **_told(receipt)})

    def summary(self) -> Iterator[str]:
        """The counts, and advice where it is needed."""
        total = sum(self.counts.values())
        yield f"{total:,} rows: " + ", ".join(
            f"{self.counts[outcome]:,} {outcome.replace('_', ' ')}"
            for outcome in _OUTCOMES
            if self.counts[outcome] or outcome == "accepted"
        )
        if self.counts["not_sent"]:
            yield "not sent: proved never processed; sending those rows again is safe"
        if self.counts["unconfirmed"]:
            yield (
                "unconfirmed: may have been sent; do not send them again blindly, look them up with "
                "`devino details --from ... --to ... --recipient ...` in a few minutes"
            )

    @property
    def all_accepted(self) -> bool:
        """Whether every row was accepted."""
        return self.counts.total() == self.counts["accepted"]

    def flush(self) -> None:
        """See that everything written is really out."""
        if self._file is not None:
            self._file.flush()

    def _write(self, result: dict[str, Any]) -> None:
        self.counts[result["outcome"]] += 1
        if self._csv is not None:
            segments = " ".join(result.get("segment_ids", ()))
            self._csv.writerow([segments if name == "segment_ids" else result.get(name, "") for name in _COLUMNS])
        elif self._file is not None:
            self._file.write(as_json(result) + "\n")


def form_of(output: Path | None) -> str:
    """CSV for a file that is called so, JSON lines for all else."""
    return "csv" if output is not None and output.suffix.lower() == ".csv" else "jsonl"


def _told(receipt: Receipt) -> dict[str, Any]:
    match receipt:
        case Accepted(_, message_id, segment_ids):
            told: dict[str, Any] = {"outcome": "accepted", "message_id": message_id}
            return {**told, "segment_ids": list(segment_ids)} if segment_ids else told
        case Rejected(_, reasons, description):
            return {"outcome": "rejected", "error": "; ".join(map(str, reasons)) or description or "no reason given"}
        case NotSent(_, error):
            return {"outcome": "not_sent", "error": str(error)}
        case Unconfirmed(_, error):
            return {"outcome": "unconfirmed", "error": str(error)}
