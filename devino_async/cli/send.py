"""`devino send`: the command and its options.

The checks before anything is sent are in preparing.py, the sending in sending.py, the results in results.py, the
reading thread in intake.py, and --track in following.py.
"""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import click

import devino_async
from devino_async.campaigns import SQLiteJournal

from .console import output_path, run
from .continuing import JournaledRun, address_of
from .costs import costing, costs_of
from .journals import journal_for
from .options import connection, connection_of, excel
from .preparing import Preparation
from .reading import reading, reading_of
from .results import OutputFile, Results
from .scheduling import schedule_of, scheduled, telling
from .sending import Heard, Sending

__all__ = ["send"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(epilog="Example: devino send campaign.csv --sender MyCompany --output results.csv")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@reading
@costing
@click.option("--yes", is_flag=True, help="Do not ask before sending. Without a terminal there is no question.")
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
@excel
@click.option("--json", "json_lines", is_flag=True, help="Results as JSON lines on stdout.")
@click.option("--track", is_flag=True, help="After sending, wait for the final statuses and count them.")
@click.option("--track-for", type=click.FloatRange(0), default=3_600, show_default=True, metavar="SECONDS")
@connection
def send(file: Path, output: Path | None, json_lines: bool, **options: Any) -> None:
    """Send FILE: CSV or a spreadsheet with a header, or JSON lines. The columns of a message are sender, to, text,
    validity, scheduled_time, priority, callback_url, options (or options.KEY), and usual headers such as phone or
    Телефон. All other columns can be used in --text, as {Column}. `-` is standard input.

    The file is read first, and its cost is shown. On a terminal you are asked. `devino check` only shows it.

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
    costs = costs_of(options)
    options["schedule"] = schedule_of(options)
    given = connection_of(options)
    heard = Heard()
    client = _client_of(given, options, journal, heard)
    target = OutputFile(output, replaces_at_end=journal is not None, excel=options["excel"])
    target.refuse_databases(place)
    async with AsyncExitStack() as stack:
        preparation = Preparation(path, options, given_rows=given_rows, costs=costs, target=target, stack=stack)
        status = await preparation.ready(journal, place, address_of(given["base_url"]))
        if status is not None:
            return status
        journaled = preparation.journaled
        sending = Sending(client, preparation.intake, options, heard, journaled)
        await sending.begin()
        preparation.carry()
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
