"""`devino sandbox`: a pretend Devino for other programs, until Ctrl-C."""

import asyncio
import signal
import sqlite3
from typing import Any

import click

from devino_async.sandbox import recipients

from .console import as_json, on_signal, run, say

__all__ = ["sandbox"]

CHANCE = click.FloatRange(0, 1)


EPILOG = f"""Example: devino sandbox --port 8025

\b
The last digits of a recipient decide what becomes of its messages:
{recipients.help_text()}
"""


@click.command(epilog=EPILOG)
@click.option("--port", type=click.IntRange(0, 65535), default=8025, show_default=True, help="0 chooses a free one.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--database", default=":memory:", show_default=True, help="A file keeps messages between runs.")
@click.option("--duplicate", type=CHANCE, default=0.0, help="The chance that a callback comes twice, 0 to 1.")
@click.option("--drop", type=CHANCE, default=0.0, help="The chance that a callback never comes, 0 to 1.")
@click.option(
    "--delay", type=click.FloatRange(0, 86_400), default=0.0, help="The longest delay of a callback, in seconds."
)
@click.option("--disorder", is_flag=True, help="Callbacks come in any order.")
@click.option("--json", "json_lines", is_flag=True, help="The address as one line of JSON.")
def sandbox(port: int, host: str, database: str, json_lines: bool, **faults: Any) -> None:
    """Run a pretend Devino until Ctrl-C. Any API key is accepted. Messages sent to it can be looked up, paged, counted
    and reported to callback URLs.
    """
    run(_serve(port, host, database, json_lines, faults))


async def _serve(port: int, host: str, database: str, json_lines: bool, faults: dict[str, Any]) -> None:
    from devino_async.sandbox import CallbackFaults, Sandbox  # noqa: PLC0415

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        on_signal(number, stopped.set)
    wanted = CallbackFaults(**faults) if any(faults.values()) else None
    running = Sandbox(port=port, host=host, database=database, callback_faults=wanted)
    try:
        await running.start()
    except OSError as error:
        await running.stop()
        raise click.UsageError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise click.UsageError(f"cannot use the database {database}: {error}") from None
    try:
        click.echo(as_json({"url": running.url}) if json_lines else running.url)
        say(f"the sandbox listens; use it with:\n  export DEVINO_API_KEY=any-key DEVINO_BASE_URL={running.url}")
        await stopped.wait()
    finally:
        await running.stop()
