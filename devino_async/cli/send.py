"""`devino send`: the command, its options, and the checks before anything is sent.

Sending itself is in sending.py, results in results.py, the reading thread in intake.py, --track in following.py.
"""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click

import devino_async
from devino_async.campaigns import read_messages

from .console import MESSAGES_FAILED, STOP_SIGNALS, exit_status_of, on_signal, run, say, standard_input
from .intake import Intake
from .options import connection, connection_of, moment
from .results import Results, opened
from .sending import Sending

__all__ = ["send"]

_SHOWN_PROBLEMS = 20


@click.command(epilog="Example: devino send campaign.csv --sender MyCompany --output results.csv")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Default: by the file's name or content.")
@click.option("--sender", help="The default for rows without a sender. The next five options are defaults too.")
@click.option("--text")
@click.option("--validity", type=int, metavar="SECONDS")
@click.option("--scheduled-time", type=moment, help="ISO 8601 with a time zone.")
@click.option("--priority", type=click.Choice(["LOW", "MEDIUM", "HIGH", "REALTIME"], case_sensitive=False))
@click.option("--callback-url")
@click.option("--include-segment-id", is_flag=True, help="Ask for the ids of the segments.")
@click.option("--shorten-url", is_flag=True, help="Have the service shorten links.")
@click.option("--batch-size", type=click.IntRange(1, 32_000), default=32_000, show_default=True)
@click.option("--in-flight", type=click.IntRange(1), default=4, show_default=True, help="Batches in flight at once.")
@click.option("--strict", is_flag=True, help="Send nothing if a row is bad. From a pipe, stop at the first bad row.")
@click.option("--output", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path), help="CSV or JSON lines.")
@click.option("--overwrite", is_flag=True, help="Replace an --output file that exists.")
@click.option("--json", "json_lines", is_flag=True, help="Results as JSON lines on stdout.")
@click.option("--track", is_flag=True, help="After sending, wait for the final statuses and count them.")
@click.option("--track-for", type=click.FloatRange(0), default=3_600, show_default=True, metavar="SECONDS")
@connection
def send(file: Path, output: Path | None, json_lines: bool, **options: Any) -> None:
    """Send FILE: CSV with a header, or JSON lines. The fields are sender, to, text, validity, scheduled_time, priority,
    callback_url, options (or options.KEY). `-` is standard input. Ctrl-C, SIGTERM and SIGHUP stop reading and finish
    what is in flight. A second signal ends the command at once.
    """
    if output is None and json_lines:
        output = Path("-")
    run(_send(file, output, options), prints=str(output) == "-")


async def _send(path: Path, output: Path | None, options: dict[str, Any]) -> int:
    # The output file may hold older results, so everything is checked before it is opened.
    client = devino_async.DevinoClient(
        **connection_of(options), limits=devino_async.Limits(in_flight=options["in_flight"])
    )
    with ExitStack() as stack:
        source = _opened(path, stack)
        reading = _reading(options)
        if options["strict"] and source.seekable():
            start = source.tell()
            status = await _check(Intake(read_messages(source, **reading)))
            if status:
                return status
            source.seek(start)
        intake = Intake(read_messages(source, **reading))
        sending = Sending(client, intake, options)
        await intake.begin()
        file, form = opened(output, source, overwrite=options["overwrite"])
        return await sending.run(Results(file, form, keep_ids=options["track"]))


def _reading(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that are passed on to read_messages."""
    scheduled = options["scheduled_time"]
    if scheduled is not None and scheduled.tzinfo is None:
        raise click.UsageError("--scheduled-time must have a time zone, such as 2026-12-01T10:00:00+03:00")
    names = ("form", "sender", "text", "validity", "scheduled_time", "priority", "callback_url")
    return {name: options[name] for name in names}


def _opened(path: Path, stack: ExitStack) -> BinaryIO:
    if str(path) == "-":
        return standard_input().buffer
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None


async def _check(intake: Intake) -> int:
    """Read all rows before any is sent, for --strict. Return the exit status."""
    came: list[int] = []

    def stop_reading(number: int) -> None:
        came.append(number)
        intake.stop()

    for number in STOP_SIGNALS:
        on_signal(number, partial(stop_reading, number))
    bad = 0
    while rows := await intake.next_run():
        for row in rows:
            if row.message is None:
                bad += 1
                if bad <= _SHOWN_PROBLEMS:
                    say(f"line {row.line}: {row.problem}")
    if came:
        say("interrupted; nothing was sent")
        return exit_status_of(came[0])
    if bad:
        say(f"{bad:,} bad rows; nothing was sent")
    return MESSAGES_FAILED if bad else 0
