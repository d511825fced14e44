"""`devino send`: the command, its options, and the checks before anything is sent.

Sending itself is in sending.py, results in results.py, the reading thread in intake.py, --track in following.py. Which
campaign of the journal a file belongs to is in continuing.py.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

import click

import devino_async
from devino_async.campaigns import Row, SQLiteJournal, read_messages
from devino_async.campaigns.troubles import has_record

from .console import MESSAGES_FAILED, output_path, run, say, standard_input
from .continuing import JournaledRun, address_of
from .first_pass import FirstPass
from .intake import Intake, while_unchanged
from .journals import entered, is_stream, journal_for
from .options import connection, connection_of
from .reading import reading, reading_of
from .results import OutputFile, Results
from .scheduling import schedule_of, scheduled, telling
from .sending import Heard, Sending

__all__ = ["send"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="Example: devino send campaign.csv --sender MyCompany --output results.csv")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@reading
@scheduled
@click.option("--include-segment-id", is_flag=True, help="Ask for the ids of the segments.")
@click.option("--shorten-url", is_flag=True, help="Have the service shorten links.")
@click.option("--batch-size", type=click.IntRange(1, 32_000), help="Default: 8000, or 32000 without a journal.")
@click.option("--in-flight", type=click.IntRange(1), default=4, show_default=True, help="Batches in flight at once.")
@click.option("--strict", is_flag=True, help="Send nothing if a row is bad. From a pipe, stop at the first bad row.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Send the first N rows and stop.")
@click.option("--journal", type=_FILE, metavar="PATH", help="Default: $DEVINO_JOURNAL, or FILE.journal.")
@click.option("--campaign", metavar="NAME", help="Default: the name of the file.")
@click.option("--only-new", is_flag=True, help="Send what the campaign has not sent, even if sent rows are missing.")
@click.option("--no-journal", is_flag=True, help="Keep no record. After a crash, the same command sends it all again.")
@click.option("--output", callback=output_path, metavar="FILE", help="CSV or JSON lines.")
@click.option("--overwrite", is_flag=True, help="Replace an --output file that exists.")
@click.option("--json", "json_lines", is_flag=True, help="Results as JSON lines on stdout.")
@click.option("--track", is_flag=True, help="After sending, wait for the final statuses and count them.")
@click.option("--track-for", type=click.FloatRange(0), default=3_600, show_default=True, metavar="SECONDS")
@connection
def send(file: Path, output: Path | None, json_lines: bool, **options: Any) -> None:
    """Send FILE: CSV or a spreadsheet with a header, or JSON lines. The columns of a message are sender, to, text,
    validity, scheduled_time, priority, callback_url, options (or options.KEY), and usual headers such as phone or
    Телефон. All other columns can be used in --text, as {Column}. `-` is standard input.

    A journal beside the file remembers what was sent. After a crash or a stop, run the same command again: it sends
    only what was not sent. The journal holds the phone numbers and texts of messages in doubt or unsent, compressed,
    and no others. Ctrl-C, SIGTERM and SIGHUP stop reading and finish what is in flight. A second signal ends
    the command at once.
    """
    if output is None and json_lines:
        output = Path("-")
    run(_send(file, output, options), prints=str(output) == "-")


async def _send(path: Path, output: Path | None, options: dict[str, Any]) -> int | None:
    place = journal_for(
        path,
        journal=options["journal"],
        campaign=options["campaign"],
        only_new=options["only_new"],
        without=options["no_journal"],
    )
    journal = None if place is None else SQLiteJournal(place)
    # connection_of removes the options that it takes, so everything else that needs them comes first.
    given_rows = reading_of(options)
    options["schedule"] = schedule_of(options)
    given = connection_of(options)
    heard = Heard()
    client = _client_of(given, options, journal, heard)
    target = OutputFile(output, replaces_at_end=journal is not None)
    target.refuse_databases(place)
    async with AsyncExitStack() as stack:
        source = _opened(path, stack)
        opened = _status_of(path, source)

        def read(sent_before: Collection[str] = ()) -> Iterator[list[Row]]:
            return read_messages(_opened(path, stack), **given_rows, sent_before=sent_before).runs()

        first = FirstPass() if options["strict"] and source.seekable() else None
        if first is not None:
            status = await _check(first, source, given_rows, options["limit"], late=journal is None)
            if status:
                return status
        journaled: JournaledRun | None = None
        intake = Intake(while_unchanged(read_messages(source, **given_rows).runs(), source), options["limit"])
        if journal is not None and place is not None:
            begun = FirstPass()
            # Otherwise input with a wrong header, or without rows, would leave an empty journal.
            stopped = await begun.begin(intake if is_stream(path) else Intake(read()))
            if stopped is not None:
                return stopped
            if not has_record(str(place)):
                # No campaign owns the output yet. So if it is refused, no journal is made.
                target.check(source, overwrite=options["overwrite"])
            await entered(journal, place, stack)
            journaled = JournaledRun(journal, place, path, address_of(given["base_url"]))
            decided = await journaled.choose(
                read, begun, name=options["campaign"], only_new=options["only_new"], limit=options["limit"]
            )
            # It may have said that nothing is sent, so no await comes between this and the next handlers of signals.
            if decided is not None:
                return decided
            if journaled.sent_before:
                rows = read_messages(source, **given_rows, sent_before=journaled.sent_before)
                intake = Intake(while_unchanged(rows.runs(), source), options["limit"])
            # A row that is late now may have been sent in time by an earlier run of the campaign.
            if first is not None and not journaled.continues and first.refuses_late():
                return MESSAGES_FAILED
        _require_unchanged(path, opened)
        # The output file may hold older results, so everything else is checked before it is opened.
        target.check(source, overwrite=options["overwrite"] or (journaled is not None and journaled.owns(output)))
        sending = Sending(client, intake, options, heard, journaled)
        await sending.begin()
        return await _run(sending, target, journaled, output, keep_ids=options["track"])


async def _run(
    sending: Sending, target: OutputFile, journaled: JournaledRun | None, output: Path | None, *, keep_ids: bool
) -> int:
    if journaled is None:
        target.open()
        return await sending.run(Results(target, keep_ids=keep_ids))
    await journaled.note(output)
    target.open()
    journaled.announce()
    return await sending.run(Results(target, keep_ids=keep_ids, has_journal=True, continues=journaled.continues))


def _client_of(
    given: dict[str, Any], options: dict[str, Any], journal: SQLiteJournal | None, heard: Heard
) -> "devino_async.DevinoClient":
    told = None if options["schedule"] is None else telling(options["schedule"])

    def on_event(event: "devino_async.ClientEvent") -> None:
        heard(event)
        if told is not None:
            told(event)

    limits = devino_async.Limits(in_flight=options["in_flight"], segments_per_second=options["segments_per_second"])
    return devino_async.DevinoClient(**given, limits=limits, journal=journal, on_event=on_event)


def _status_of(path: Path, source: BinaryIO) -> os.stat_result | None:
    """Return the status of an open file, or None for what can be read only once."""
    return None if is_stream(path) else os.fstat(source.fileno())


def _require_unchanged(path: Path, opened: os.stat_result | None) -> None:
    """Raise click.UsageError if a file is not the one that was opened, or has another size or time."""
    if opened is None:
        return
    with suppress(OSError):
        now = path.stat()
        if os.path.samestat(now, opened) and (now.st_size, now.st_mtime_ns) == (opened.st_size, opened.st_mtime_ns):
            return
    raise click.UsageError(f"{path} changed while it was checked. Nothing was sent: run this again")


def _opened(path: Path, stack: AsyncExitStack) -> BinaryIO:
    if str(path) == "-":
        return standard_input().buffer
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}") from None


async def _check(first: FirstPass, source: BinaryIO, given: dict[str, Any], limit: int | None, *, late: bool) -> int:
    """Read all rows before any is sent, for --strict. Return the exit status."""
    start = source.tell()
    bad = await first.bad_rows(Intake(read_messages(source, **given).runs(), limit), late=late)
    if first.interrupted is not None:
        return first.interrupted
    if bad:
        say(f"{bad:,} bad rows; nothing was sent")
        return MESSAGES_FAILED
    source.seek(start)
    return 0
