"""`devino send`: a file of messages goes out. Bad rows are told and passed over; results come in the input's order."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from .running import FAILED, INTERRUPTED, MESSAGES_FAILED, MOMENT, connection, run, say

if TYPE_CHECKING:
    from devino_async import Message

    from .results import Results
    from .rows import Row, Rows

__all__ = ["send"]

_ROWS_A_READ = 512


@click.command(epilog="Example: devino send campaign.csv --sender MyCompany --output results.csv")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Default: what the file looks like.")
@click.option("--sender", help="For rows without one; likewise the next five.")
@click.option("--text")
@click.option("--validity", type=int, metavar="SECONDS")
@click.option("--scheduled-time", type=MOMENT, help="ISO 8601 with a time zone.")
@click.option("--priority", type=click.Choice(["LOW", "MEDIUM", "HIGH", "REALTIME"], case_sensitive=False))
@click.option("--callback-url")
@click.option("--include-segment-id", is_flag=True, help="Ask for the ids of the segments.")
@click.option("--shorten-url", is_flag=True, help="Have the service shorten links.")
@click.option("--batch-size", type=click.IntRange(1, 32_000), default=32_000, show_default=True)
@click.option("--in-flight", type=click.IntRange(1), default=4, show_default=True, help="Batches at the same time.")
@click.option("--strict", is_flag=True, help="Send nothing if a row is bad; from standard input, stop at the first.")
@click.option("--output", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="CSV or JSON lines.")
@click.option("--json", "json_lines", is_flag=True, help="Results as JSON lines on stdout.")
@connection
def send(file: Path, output: Path | None, json_lines: bool, **options: Any) -> None:
    """Send FILE: CSV with a header, or JSON lines, of the fields sender, to, text, validity, scheduled_time, priority,
    callback_url, options (or options.KEY); `-` is standard input. Ctrl-C stops reading and finishes what is in flight.
    """
    if output is None and json_lines:
        output = Path("-")
    if output is not None and str(output) != "-" and output.exists() and file.exists() and output.samefile(file):
        raise click.UsageError("--output is the input file")
    run(_send(file, output, options))


async def _send(path: Path, output: Path | None, options: dict[str, Any]) -> int:
    from .results import Results, form_of  # noqa: PLC0415
    from .rows import Rows  # noqa: PLC0415

    defaults = _defaults(options)
    with ExitStack() as stack:
        opened = _opened(path, stack)
        if options["strict"] and opened.seekable() and not _all_good(Rows(opened, options["form"], dict(defaults))):
            return MESSAGES_FAILED
        if opened.seekable():
            opened.seek(0)
        rows = Rows(opened, options["form"], defaults)
        file = _output(output, stack)
        return await _Sending(rows, Results(file, form_of(output)), options).run()


class _Sending:
    """One run: what was read and not yet answered, and whether to go on."""

    def __init__(self, rows: "Rows", results: "Results", options: dict[str, Any]) -> None:
        self._rows = rows
        self._results = results
        self._options = options
        self._waiting: deque[Row] = deque()
        self._stopped = asyncio.Event()
        self._interrupted = False
        self._bad_row = False

    async def run(self) -> int:
        from devino_async import CallFailed  # noqa: PLC0415

        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._interrupt)
        failure: CallFailed | None = None
        try:
            await self._deliver()
        except CallFailed as error:
            failure = error
        self._pass_over_bad_rows()
        for line in self._results.summary():
            say(line)
        if failure is not None:
            say(f"devino: {failure}")
            return FAILED
        if self._interrupted:
            say("interrupted; what was read has its result, the rest was not read")
            self._leave()
        return 0 if self._results.all_accepted and not self._bad_row else MESSAGES_FAILED

    async def _deliver(self) -> None:
        from devino_async import DevinoClient, Limits  # noqa: PLC0415

        from .progress import counting  # noqa: PLC0415

        options = self._options
        credentials = {name: options[name] for name in ("api_key", "login", "password", "base_url")}
        client = DevinoClient(**credentials, limits=Limits(in_flight=options["in_flight"]))
        asked = {name: options[name] for name in ("batch_size", "include_segment_id", "shorten_url")}
        async with client as devino:
            with counting("sending") as advance:
                async for receipt in devino.send_many(self._messages(), **asked):
                    self._pass_over_bad_rows()
                    self._results.receipt(self._waiting.popleft(), receipt)
                    advance()

    async def _messages(self) -> "AsyncIterator[Message]":
        while rows := await self._read():
            for row in rows:
                self._waiting.append(row)
                if row.message is not None:
                    yield row.message
                elif self._options["strict"]:
                    self._bad_row = True
                    return

    async def _read(self) -> "list[Row]":
        """The next rows, read in a thread as standard input may keep us waiting; none once interrupted."""
        if self._stopped.is_set():
            return []
        reading = asyncio.create_task(asyncio.to_thread(self._rows.read, _ROWS_A_READ))
        stopping = asyncio.create_task(self._stopped.wait())
        await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        return reading.result() if reading.done() else []

    def _pass_over_bad_rows(self) -> None:
        while self._waiting and self._waiting[0].message is None:
            self._results.invalid(self._waiting.popleft())

    def _interrupt(self) -> None:
        if self._interrupted:
            os._exit(INTERRUPTED)
        self._interrupted = True
        self._stopped.set()
        say("interrupted: reading no more, finishing what is in flight; again to end at once")

    def _leave(self) -> None:
        # A thread may still be waiting for standard input, and would keep the process from ending.
        self._results.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


def _defaults(options: dict[str, Any]) -> dict[str, Any]:
    names = ("sender", "text", "validity", "scheduled_time", "priority", "callback_url")
    defaults = {name: options.pop(name) for name in names}
    if defaults["priority"] is not None:
        defaults["priority"] = defaults["priority"].upper()
    moment: datetime | None = defaults["scheduled_time"]
    if moment is not None and moment.tzinfo is None:
        raise click.UsageError("--scheduled-time must have a time zone, such as 2026-12-01T10:00:00+03:00")
    return {name: value for name, value in defaults.items() if value is not None}


def _opened(path: Path, stack: ExitStack) -> IO[str]:
    # Bytes that are no UTF-8 become half surrogates, which the message's own check then names with their line.
    if str(path) == "-":
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape", newline="")  # type: ignore[union-attr]
        return sys.stdin
    try:
        return stack.enter_context(path.open(encoding="utf-8-sig", errors="surrogateescape", newline=""))
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None


def _output(path: Path | None, stack: ExitStack) -> IO[str] | None:
    if path is None:
        return None
    if str(path) == "-":
        return sys.stdout
    try:
        return stack.enter_context(path.open("w", encoding="utf-8", newline=""))
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from None


def _all_good(rows: "Rows") -> bool:
    bad = 0
    while read := rows.read(_ROWS_A_READ):
        for row in read:
            if row.message is None:
                bad += 1
                if bad <= 20:
                    say(f"line {row.line}: {row.problem}")
    if bad:
        say(f"{bad:,} bad rows; nothing was sent")
    return not bad
