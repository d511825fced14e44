"""`devino demo`: a whole campaign against the built-in sandbox, in about 15 seconds and without an account.

The campaign begins in a process of its own (demo_campaign.py), which is killed half way. The same campaign is then run
again here, and sends the rest.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

import devino_async
from devino_async.campaigns import SQLiteJournal

from .console import CommandFailed, as_json, run, say
from .demo_campaign import KEY, NAME, batch_size_for, campaign, first_half
from .progress import counting

__all__ = ["demo"]

_FINAL = {"DELIVERED", "CLICKED", "UNDELIVERABLE", "EXPIRED", "REJECTED", "UNKNOWN"}
_OUTCOMES = ("accepted", "rejected", "not_sent", "unconfirmed")
_ROUNDS = 40
_MAX_MESSAGES = 10_000_000


@click.command(epilog="Example: devino demo --messages 1000000")
@click.option("--messages", type=click.IntRange(1, _MAX_MESSAGES), default=100_000, show_default=True)
@click.option("--json", "json_lines", is_flag=True, help="The summary as one line of JSON on stdout.")
def demo(messages: int, json_lines: bool) -> None:
    """Send a generated campaign of Russian and Latin messages to a pretend Devino on this machine, kill the sending
    process half way, run the same campaign again, wait for deliveries, and show the outcome. Nothing leaves the
    machine.
    """
    run(_show(messages, json_lines))


async def _show(count: int, json_lines: bool) -> None:
    from devino_async.sandbox import Sandbox  # noqa: PLC0415

    with TemporaryDirectory(prefix="devino-demo-") as folder:
        place = Path(folder, "demo.journal")
        async with Sandbox() as sandbox:
            say(f"the sandbox listens at {sandbox.url}; sending {count:,} messages")
            began = time.monotonic()
            killed_after = await _begin_and_kill(sandbox.url, place, count)
            if killed_after:
                say(f"killed the sending process after {killed_after:,} messages; running the same campaign again")
            async with (
                SQLiteJournal(place) as journal,
                devino_async.DevinoClient(KEY, base_url=sandbox.url, journal=journal) as devino,
            ):
                with counting("sending", count) as advance:
                    report = await _send(devino, count, advance)
                seconds = time.monotonic() - began
                say(f"sent in {seconds:.1f} s, {count / seconds:,.0f} messages a second; waiting for deliveries")
                # What is unconfirmed may have reached the sandbox too.
                twice = max(0, await sandbox.count() - len(report.accepted) - len(report.unconfirmed))
                statuses, statistics, account = await _look_up(devino, report)
    if json_lines:
        told = {"killed_after": killed_after, "twice": twice}
        click.echo(as_json({**_summary(report, statuses, statistics, account), **told}))
    else:
        _print(report, statuses, statistics, account)
        click.echo(
            f"killed after {killed_after:,} messages and run again: {twice:,} sent twice, {len(report.not_sent):,} lost"
        )
        click.echo(
            "\nNext: `devino sandbox` keeps a sandbox running, `devino send FILE` sends a CSV to it or to the real"
            " service.\n`devino --help` lists the rest, and the README shows the same in Python."
        )


async def _begin_and_kill(url: str, place: Path, count: int) -> int:
    """Run the first half of the campaign in a process of its own, and kill it. Return how many messages it sent."""
    half = first_half(count)
    if not half:
        return 0
    module = f"{__package__}.demo_campaign"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, url, str(place), str(count), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101
    try:
        # It prints a line when the first half has its receipts, and then waits for messages that never come.
        if not await process.stdout.readline():
            raise CommandFailed("the process that was to send the campaign ended by itself")
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    return half


async def _look_up(
    devino: "devino_async.DevinoClient", report: "devino_async.SendReport"
) -> "tuple[Counter[str], devino_async.Statistics, devino_async.Account]":
    with counting("delivery", len(report.accepted)) as advance:
        statuses = await _last_statuses(devino, [each.message_id for each in report.accepted], advance)
    now = datetime.now(UTC).replace(tzinfo=None)
    statistics = await devino.statistics(now - timedelta(days=1), now + timedelta(days=1))
    return statuses, statistics, await devino.account()


async def _send(
    devino: "devino_async.DevinoClient", count: int, advance: Callable[[], None]
) -> "devino_async.SendReport":
    receipts = []
    async for receipt in devino.send_many(campaign(count), campaign=NAME, batch_size=batch_size_for(count)):
        receipts.append(receipt)
        advance()
    return devino_async.SendReport.of(receipts)


async def _last_statuses(
    devino: "devino_async.DevinoClient", ids: list[str], advance: Callable[[], None]
) -> Counter[str]:
    """Look up statuses in rounds, until all are final or only SENT is left, which may never change."""
    final: Counter[str] = Counter()
    passing: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        left, before = [], passing
        passing = Counter()
        async for each in devino.iter_statuses(ids):
            status = str(each.status)
            if status in _FINAL:
                final[status] += 1
                advance()
            else:
                left.append(each.message_id)
                passing[status] += 1
        ids = left
        if not ids or (set(passing) == {"SENT"} and passing == before):
            break
        await asyncio.sleep(0.5)
    return final + passing


def _summary(
    report: "devino_async.SendReport",
    statuses: Counter[str],
    statistics: "devino_async.Statistics",
    account: "devino_async.Account",
) -> dict[str, Any]:
    return {
        "outcomes": {name: len(getattr(report, name)) for name in _OUTCOMES},
        "statuses": statuses,
        "statistics": {status: statistics.total(status) for status in statuses},
        "segments": {status: statistics.total_segments(status) for status in statuses},
        "balance": account.balance,
    }


def _print(
    report: "devino_async.SendReport",
    statuses: Counter[str],
    statistics: "devino_async.Statistics",
    account: "devino_async.Account",
) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="The campaign")
    table.add_column("what")
    for heading in ("messages", "in statistics", "segments"):
        table.add_column(heading, justify="right")
    for name in _OUTCOMES:
        table.add_row(f"receipt: {name.replace('_', ' ')}", f"{len(getattr(report, name)):,}", "", "")
    table.add_section()
    for status, amount in statuses.most_common():
        counted, segments = statistics.total(status), statistics.total_segments(status)
        table.add_row(f"status: {status}", f"{amount:,}", f"{counted:,}", f"{segments:,}")
    Console().print(table)
    click.echo(f"balance left: {account.balance:,}")
