"""`devino send`: a file of messages goes out. Bad rows are told and passed over; results come in the input's order.

How rows are read is intake.py's and rows.py's, how results are written results.py's, what --track shows following.py's.
"""

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

from .running import FAILED, INTERRUPTED, MESSAGES_FAILED, MOMENT, connection, connection_of, on_signal, run, say

if TYPE_CHECKING:
    from devino_async import DevinoClient, Message

    from .intake import Intake
    from .results import Results
    from .rows import Row

__all__ = ["send"]

_RECEIPTS_A_STEP = 256
_MOST_BAD_WAITING = 20_000
_SHOWN_PROBLEMS = 20
# How long results are kept from their reader at most, in seconds.
_FLUSHED_AFTER = 0.5


@click.command(epilog="Example: devino send campaign.csv --sender MyCompany --output results.csv")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Default: by the file's name or look.")
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
@click.option("--strict", is_flag=True, help="Send nothing if a row is bad; from a pipe, stop at the first.")
@click.option("--output", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="CSV or JSON lines.")
@click.option("--json", "json_lines", is_flag=True, help="Results as JSON lines on stdout.")
@click.option("--track", is_flag=True, help="Then wait for the final statuses, and show how many there are of each.")
@click.option("--track-for", type=click.FloatRange(0), default=3_600, show_default=True, metavar="SECONDS")
@connection
def send(file: Path, output: Path | None, json_lines: bool, **options: Any) -> None:
    """Send FILE: CSV with a header, or JSON lines, of the fields sender, to, text, validity, scheduled_time, priority,
    callback_url, options (or options.KEY); `-` is standard input. Ctrl-C stops reading and finishes what is in flight.
    """
    if output is None and json_lines:
        output = Path("-")
    run(_send(file, output, options))


async def _send(path: Path, output: Path | None, options: dict[str, Any]) -> int:
    from devino_async import DevinoClient, Limits  # noqa: PLC0415

    from .intake import Intake  # noqa: PLC0415
    from .results import Results, opened  # noqa: PLC0415
    from .rows import Rows  # noqa: PLC0415

    # Everything that can be wrong is found out before the output file, which may hold older results, is opened.
    client = DevinoClient(**connection_of(options), limits=Limits(in_flight=options["in_flight"]))
    defaults = _checked_defaults(options)
    form = options["form"] or {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(path.suffix.lower())
    with ExitStack() as stack:
        source = _opened(path, stack)
        if options["strict"] and source.seekable():
            start = source.tell()
            check = _Check(Intake(lambda: Rows(source, form, defaults)))
            status = await check.run()
            if status:
                return status
            source.seek(start)
        intake = Intake(lambda: Rows(source, form, defaults))
        sending = _Sending(client, intake, options)
        await intake.begin()
        return await sending.run(Results(*opened(output, source), keep_ids=options["track"]))


class _Check:
    """All rows are read before any is sent."""

    def __init__(self, intake: "Intake") -> None:
        self._intake = intake

    async def run(self) -> int:
        on_signal(signal.SIGINT, self._intake.stop)
        bad = 0
        while rows := await self._intake.next_run():
            for row in rows:
                if row.message is None:
                    bad += 1
                    if bad <= _SHOWN_PROBLEMS:
                        say(f"line {row.line}: {row.problem}")
        if self._intake.stopped:
            say("interrupted; nothing was sent")
            return INTERRUPTED
        if bad:
            say(f"{bad:,} bad rows; nothing was sent")
        return MESSAGES_FAILED if bad else 0


class _Sending:
    """One run: what was read and not yet answered, and whether to go on.

    SIGINT is listened to from the start; `run` must follow.
    """

    def __init__(self, client: "DevinoClient", intake: "Intake", options: dict[str, Any]) -> None:
        self._client = client
        self._intake = intake
        self._strict = options["strict"]
        self._track_for = options["track_for"] if options["track"] else None
        self._asked = {name: options[name] for name in ("batch_size", "include_segment_id", "shorten_url")}
        self._results: Results | None = None
        # Rows that were handed to the client, and the bad rows between them, in the order of the input.
        self._waiting: deque[Row] = deque()
        # Rows that were read when it was stopped.
        self._left: list[Row] = []
        self._bad_waiting = 0
        self._more = True
        self._interrupted = False
        self._stopped_at_bad_row = False
        on_signal(signal.SIGINT, self._interrupt)

    async def run(self, results: "Results") -> int:
        from devino_async import CallFailed  # noqa: PLC0415

        self._results = results
        failure: CallFailed | OSError | None = None
        try:
            await self._deliver(results)
        except (CallFailed, OSError) as error:
            failure = error
        self._pass_over_bad_rows(results)
        for row in [*self._left, *self._intake.left()]:
            results.not_handed_over(row, "reading was stopped before it was handed over")
        results.finish()
        status = self._told(results, failure)
        if self._intake.stuck:
            # A thread waits for standard input; at a usual end Python would have to wait for it, or crash.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        return status

    def _told(self, results: "Results", failure: Exception | None) -> int:
        for line in results.summary():
            say(line)
        if failure is not None:
            say(f"devino: {failure}")
        if self._interrupted:
            say("interrupted; every row that was read has its result, the rest was not read")
            return INTERRUPTED
        if failure is not None or results.broken is not None:
            return FAILED
        return 0 if results.all_accepted and not self._stopped_at_bad_row else MESSAGES_FAILED

    async def _deliver(self, results: "Results") -> None:
        from .progress import counting  # noqa: PLC0415

        async with self._client as devino:
            flushing = asyncio.create_task(_flushed(results))
            try:
                with counting("sending") as advance:
                    while self._more:
                        await self._stream(devino, results, advance)
            finally:
                flushing.cancel()
            if self._track_for is not None and not self._interrupted:
                await self._follow(devino, results, self._track_for)

    async def _follow(self, devino: "DevinoClient", results: "Results", seconds: float) -> None:
        from .following import follow  # noqa: PLC0415

        results.flush()
        await follow(devino, results.message_ids, seconds)

    async def _stream(self, devino: "DevinoClient", results: "Results", advance: Any) -> None:
        count = 0
        async for receipt in devino.send_many(self._messages(), **self._asked):
            self._pass_over_bad_rows(results)
            results.receipt(self._waiting.popleft(), receipt)
            advance()
            count += 1
            if count % _RECEIPTS_A_STEP == 0:
                # The receipts of a batch come all at once, and other batches are under way.
                await asyncio.sleep(0)
            if results.broken is not None:
                self._intake.stop()
        self._pass_over_bad_rows(results)

    async def _messages(self) -> "AsyncIterator[Message]":
        """Ends early when very many bad rows wait behind a message: what was read is sent then, and reading goes on."""
        while self._bad_waiting < _MOST_BAD_WAITING:
            rows = await self._intake.next_run()
            for position, row in enumerate(rows):
                if self._intake.stopped:
                    self._left = rows[position:]
                    break
                self._waiting.append(row)
                if row.message is not None:
                    yield row.message
                    continue
                self._bad_waiting += 1
                if self._strict:
                    self._stopped_at_bad_row = True
                    self._intake.stop()
            if not rows or self._intake.stopped:
                self._more = False
                return

    def _pass_over_bad_rows(self, results: "Results") -> None:
        while self._waiting and self._waiting[0].message is None:
            results.invalid(self._waiting.popleft())
            self._bad_waiting -= 1

    def _interrupt(self) -> None:
        if self._interrupted:
            self._leave_at_once()
        self._interrupted = True
        self._intake.stop()
        say("interrupted: reading no more, finishing what is in flight; again to end at once")

    def _leave_at_once(self) -> None:
        if self._results is not None:
            self._results.finish()
        if sys.stderr.isatty():
            say("\x1b[?25h")  # The progress bar had hidden the cursor.
        os._exit(INTERRUPTED)


async def _flushed(results: "Results") -> None:
    """Until cancelled. Rows of a slow pipe have their results in time though they fill no buffer."""
    while True:
        await asyncio.sleep(_FLUSHED_AFTER)
        results.flush()


def _checked_defaults(options: dict[str, Any]) -> dict[str, Any]:
    """What the options say for rows that say nothing, checked as a message is."""
    from devino_async import InvalidMessage, Message  # noqa: PLC0415

    from .rows import problems_of  # noqa: PLC0415

    names = ("sender", "text", "validity", "scheduled_time", "priority", "callback_url")
    defaults = {name: options[name] for name in names if options[name] is not None}
    if "priority" in defaults:
        defaults["priority"] = defaults["priority"].upper()
    moment: datetime | None = defaults.get("scheduled_time")
    if moment is not None and moment.tzinfo is None:
        raise click.UsageError("--scheduled-time must have a time zone, such as 2026-12-01T10:00:00+03:00")
    try:
        Message(**{"sender": "a", "to": "79000000000", "text": "a", **defaults})
    except InvalidMessage as invalid:
        raise click.UsageError(f"options that no row can do with: {problems_of(invalid.problems)}") from None
    return defaults


def _opened(path: Path, stack: ExitStack) -> IO[str]:
    # Bytes that are no UTF-8 become half surrogates, which the message's own check then names with their line.
    if str(path) == "-":
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="surrogateescape", newline="")  # type: ignore[union-attr]
        return sys.stdin
    try:
        return stack.enter_context(path.open(encoding="utf-8-sig", errors="surrogateescape", newline=""))
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None
