"""`devino sandbox`: a pretend Devino for other programs, until Ctrl-C."""

import asyncio
import signal
import sqlite3
import webbrowser
from typing import TYPE_CHECKING, Any

import click

from devino_async.sandbox import recipients

from .console import as_json, on_signal, run, say

if TYPE_CHECKING:
    from devino_async.sandbox import Sandbox

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
@click.option("--keep", type=click.IntRange(1), help="How many messages are kept, the newest ones. By default all are.")
@click.option("--open", "open_inbox", is_flag=True, help="Show the inbox in the browser.")
@click.option("--json", "json_lines", is_flag=True, help="The address as one line of JSON.")
def sandbox(
    *, port: int, host: str, database: str, keep: int | None, open_inbox: bool, json_lines: bool, **faults: Any
) -> None:
    """Run a pretend Devino until Ctrl-C. Any API key is accepted. Messages sent to it can be looked up, paged, counted
    and reported to callback URLs. Its address is an inbox too: open it in a browser to see every message.
    """
    from devino_async.sandbox import CallbackFaults, Sandbox  # noqa: PLC0415

    wanted = CallbackFaults(**faults) if any(faults.values()) else None
    running = Sandbox(port=port, host=host, database=database, keep=keep, callback_faults=wanted)
    run(_serve(running, f"{host}:{port}", database, open_inbox, json_lines))


async def _serve(running: "Sandbox", place: str, database: str, open_inbox: bool, json_lines: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        on_signal(number, stopped.set)
    try:
        await running.start()
    except OSError as error:
        await running.stop()
        raise click.UsageError(f"cannot listen on {place}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise click.UsageError(f"cannot use the database {database}: {error}") from None
    try:
        click.echo(as_json({"url": running.url}) if json_lines else running.url)
        say(f"the sandbox listens; use it with:\n  export DEVINO_API_KEY=any-key DEVINO_BASE_URL={running.url}")
        say(f"its inbox shows every message: {running.url}/")
        # A browser in a terminal ends with its user, so nothing waits for it.
        opening = asyncio.create_task(_open(f"{running.url}/")) if open_inbox else None
        await stopped.wait()
        if opening is not None:
            opening.cancel()
    finally:
        await running.stop()


async def _open(url: str) -> None:
    if not await asyncio.to_thread(webbrowser.open, url):
        say(f"no browser was found here: open {url} in one")
