"""The results of sending: one row for every row of the input, in the same order, and the counts.

The sending itself is in sending.py.
"""

import errno
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import click

import devino_async
from devino_async.campaigns import CampaignCancelled, Row, describe_reasons
from devino_async.campaigns.files import Rows

from .carrying import Carrying
from .cells import CsvWriter
from .console import as_json, counted, open_output, refuse_existing, say, silence
from .databases import is_writable, refuse_database

__all__ = ["OutputFile", "Results"]

_COLUMNS = ("line", "to", "outcome", "message_id", "segment_ids", "error")
_SHOWN_PROBLEMS = 20
# The key of a message whose scheduled time has passed. The client rejects it without a request.
_LATE = "scheduledTime.is.invalid"
_UNFINISHED = ".unfinished"
_LEFT_OUT = ("excluded", "repeated")
_OUTCOMES = ("accepted", "rejected", "not_sent", "unconfirmed", "invalid", *_LEFT_OUT)


class OutputFile:
    """Where results go: nowhere, to stdout, or into a file.

    With `replaces_at_end` a regular file is replaced at the end by another one, which has `.unfinished` in its name.
    `form` is CSV if the suffix is .csv, else JSON lines.
    """

    def __init__(self, path: Path | None, *, replaces_at_end: bool = False, excel: bool = False) -> None:
        self.excel = excel
        self.carrying: Carrying | None = None
        self.form = "csv" if path is not None and path.suffix.lower() == ".csv" else "jsonl"
        self.file: IO[str] | None = sys.stdout if str(path) == "-" else None
        self.path = path
        self._path = None if str(path) == "-" else path
        self._replaces_at_end = replaces_at_end
        self._unfinished: Path | None = None
        if excel and self.form != "csv":
            raise click.UsageError("--excel needs --output FILE.csv")

    @property
    def carries(self) -> bool:
        """Whether the results carry the columns of the input."""
        return self.form == "csv"

    def carry(self, rows: Rows, first: Row | None) -> None:
        """Have the results carry the columns of these rows, of which the first run was read."""
        if self.carries:
            self.carrying = Carrying(rows, first, _COLUMNS)

    def refuse_databases(self, journal: Path | None) -> None:
        """Raise click.UsageError if results would replace a journal. Call it before the journal is opened."""
        if self._path is not None:
            refuse_database(self._path, journal)
            refuse_database(_unfinished(self._path), journal)

    def check(self, source: IO[bytes], *, overwrite: bool) -> None:
        """Raise click.UsageError if the file cannot be written, is the input, or may not be replaced."""
        if self._path is None:
            return
        if _is_same(self._path, source):
            raise click.UsageError("--output is the input file")
        refuse_existing(self._path, overwrite=overwrite)
        _refuse_unwritable(self._path, replaces=self._replaces_at_end)

    def open(self) -> None:
        """Open the file. Raises click.UsageError if it cannot be written."""
        if self._path is None:
            return
        path = self._path
        if self._replaces_at_end and (path.is_file() or not path.exists()):
            # A link stays a link. Its target is what is replaced.
            self._path = path.resolve()
            path = self._unfinished = _unfinished(self._path)
        self.file = open_output(path, overwrite=True)

    def settle(self, *, is_whole: bool) -> str | None:
        """Move complete results into place. Return the problem if they are elsewhere, or are not complete."""
        if self._unfinished is None or self._path is None:
            return None
        unfinished, self._unfinished = self._unfinished, None
        if not is_whole:
            return f"those written so far are in {unfinished}"
        try:
            if self._path.exists():
                shutil.copymode(self._path, unfinished)
            unfinished.replace(self._path)
        except OSError as error:
            return f"{self._path} cannot be replaced ({error.strerror}), so they are in {unfinished}"
        return None


class Results:
    """Writes results as they come. Without a file they are only counted. `message_ids` are kept only on request.

    With `continues`, an earlier run may have sent any row. If writing to the file fails, nothing is raised, because
    messages are still in flight. `broken` holds the reason.
    """

    def __init__(
        self, output: OutputFile, *, keep_ids: bool = False, has_journal: bool = False, continues: bool = False
    ) -> None:
        self._output = output
        file = self._file = output.file
        self._keeps_ids = keep_ids
        self._has_journal = has_journal
        self._continues = continues
        self.message_ids: list[str] = []
        self._csv: CsvWriter | None = None
        if file is not None and output.form == "csv":
            self._csv = CsvWriter(file, excel=output.excel)
        self._carrying = output.carrying
        self.broken: str | None = None
        self.counts: Counter[str] = Counter()
        self._shown = 0
        self._is_cancelled = False
        if self._csv is not None:
            self._csv.row((*_COLUMNS, *(self._carrying.names if self._carrying is not None else ())))

    def keep(self, row: Row) -> str:
        """Return the cells of a row that its result carries, as a text, so that the row need not be kept."""
        if self._csv is None or self._carrying is None:
            return ""
        return self._carrying.written(row, self._csv)

    def without_message(self, row: Row) -> None:
        """Add a row that is not a message, or is left out."""
        if row.left_out is not None:
            self._add({"line": row.line, "to": row.to, "outcome": row.left_out}, row)
            return
        self._show(row, row.problem)
        self._add({"line": row.line, "to": row.to, "outcome": "invalid", "error": row.problem}, row)

    def receipt(self, row: Row, receipt: "devino_async.Receipt") -> None:
        """Add the receipt of a row."""
        if isinstance(receipt, devino_async.Accepted):
            if self._keeps_ids:
                self.message_ids.append(receipt.message_id)
            if self._file is None:
                # Millions of receipts may only be counted.
                self.counts["accepted"] += 1
                return
        if isinstance(receipt, devino_async.Rejected):
            late = next((str(each) for each in receipt.reasons if each.key == _LATE), None)
            if late is not None:
                self._show(row, Row(row.line, receipt.message).problem_at(datetime.now(UTC)) or late)
        elif isinstance(receipt, devino_async.NotSent):
            self._is_cancelled |= isinstance(receipt.error.__cause__, CampaignCancelled)
        self._add({"line": row.line, "to": row.to, **_cells_of(receipt)}, row)

    def not_handed_over(self, row: Row, why: str) -> None:
        """Add a row that was read, but not given to the client."""
        if row.problem is not None or row.left_out is not None:
            self.without_message(row)
        else:
            outcome = "unconfirmed" if self._continues else "not_sent"
            if self._continues:
                why += ", so it was not looked up whether an earlier run sent it; run the same command again"
            self._add({"line": row.line, "to": row.to, "outcome": outcome, "error": why}, row)

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
        yield f"{counted(self.counts.total(), 'row')}: " + ", ".join(
            f"{self.counts[outcome]:,} {outcome.replace('_', ' ')}"
            for outcome in _OUTCOMES
            if self.counts[outcome] or outcome == "accepted"
        )
        if self._is_cancelled:
            yield "not sent: the campaign was cancelled, so this command sends nothing more of it"
        elif self.counts["not_sent"]:
            how = "; the same command does that" if self._has_journal else ""
            yield f"not sent: provably never processed, so sending those rows again is safe{how}"
        if self.counts["unconfirmed"] and self._has_journal:
            yield (
                "unconfirmed: may have been sent; the same command does not send them. In a few minutes, look for them "
                "with `devino campaign reconcile`. `devino campaign show` says more"
            )
        elif self.counts["unconfirmed"]:
            yield (
                "unconfirmed: may have been sent; before you send them again, look them up with "
                "`devino details --from ... --to ... --recipient ...` in a few minutes"
            )
        if self.broken is not None:
            yield f"the results are incomplete: {self.broken}; the counts above are complete"

    @property
    def all_accepted(self) -> bool:
        """Whether every row was accepted, except those that were left out."""
        return self.counts.total() == self.counts["accepted"] + sum(self.counts[each] for each in _LEFT_OUT)

    def finish(self, *, is_whole: bool = True) -> None:
        """Write out everything, and close the file unless it is stdout. Complete results move into place."""
        self.flush()
        file, self._file, self._csv = self._file, None, None
        if file is not None and file is not sys.stdout:
            file.close()
        if self.broken is None:
            self.broken = self._output.settle(is_whole=is_whole)

    def _show(self, row: Row, problem: str | None) -> None:
        """Show a row that cannot be sent, unless there were many."""
        if self._shown < _SHOWN_PROBLEMS:
            say(f"line {row.line}: {problem}")
        elif self._shown == _SHOWN_PROBLEMS:
            say("more bad rows follow; they are in the results and in the summary")
        self._shown += 1

    def _add(self, result: dict[str, Any], row: Row) -> None:
        self.counts[result["outcome"]] += 1
        if self._file is None:
            return
        try:
            self._write(self._file, result, row)
        except OSError as error:
            self._break(self._file, error)

    def _write(self, file: IO[str], result: dict[str, Any], row: Row) -> None:
        if self._csv is not None:
            cells = {**result, "segment_ids": " ".join(result.get("segment_ids", ()))}
            self._csv.row((cells.get(name) for name in _COLUMNS), self.keep(row))
        else:
            file.write(as_json(result) + "\n")

    def _break(self, file: IO[str], error: OSError) -> None:
        self._file = self._csv = None
        self.broken = error.strerror or type(error).__name__
        # Otherwise closing the file would try to write the buffered text, and raise again.
        silence(file)
        if file is not sys.stdout:
            file.close()


def _unfinished(output: Path) -> Path:
    path = output.resolve()
    return path.with_name(f"{path.name}{_UNFINISHED}")


def _refuse_unwritable(path: Path, *, replaces: bool) -> None:
    """Raise click.UsageError if a file cannot be written.

    If a new file is to be made or to replace it, the folder must be writable instead.
    """
    place = path.resolve().parent if not path.exists() or (replaces and path.is_file()) else path
    if not is_writable(place):
        problem = errno.EACCES if place.exists() else errno.ENOENT
        raise click.UsageError(f"cannot write {path}: {os.strerror(problem)}")


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
