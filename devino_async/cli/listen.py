"""`devino listen`: status callbacks and incoming messages, printed as they come.

Requests are read in webhooks/, the server is in contrib/.
"""

import asyncio
import logging
import signal
from collections.abc import Sequence
from typing import Any

import click

import devino_async

from .console import USAGE, as_json, on_signal, printable, run, say, stop

__all__ = ["listen"]


@click.command(epilog="Example: devino listen --port 8080 --public https://sms.example.com --database deliveries.db")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0 chooses a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 also accepts other machines.")
@click.option("--public", metavar="URL", help="The public URL of this machine, shown instead of the local one.")
@click.option(
    "--token", envvar="DEVINO_CALLBACK_TOKEN", help="Default: $DEVINO_CALLBACK_TOKEN, or a new one each time."
)
@click.option("--database", type=click.Path(dir_okay=False), help="Keep deliveries in this DeliveryTracker database.")
@click.option("--json", "json_lines", is_flag=True, help="JSON lines on stdout; the first one is the address.")
@click.option(
    "--header-timeout",
    type=click.FloatRange(0, 3_600, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Close a connection that has sent no valid token within this time.",
)
@click.option(
    "--max-unauthenticated",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="Keep at most this many connections without a valid token. A new one replaces the oldest.",
)
def listen(
    *,
    port: int,
    host: str,
    public: str | None,
    token: str | None,
    database: str | None,
    json_lines: bool,
    **bounds: Any,
) -> None:
    """Listen until Ctrl-C and print what arrives. Use the printed address as callback_url, or give it to Devino's
    support to receive incoming messages. Keep it secret: anyone who has it can send you false events.
    """
    logging.getLogger("devino_async").addHandler(_Saying(logging.WARNING))
    run(
        _listen(
            host=host, port=port, public=public, token=token, database=database, json_lines=json_lines, bounds=bounds
        )
    )


async def _listen(
    *,
    host: str,
    port: int,
    public: str | None,
    token: str | None,
    database: str | None,
    json_lines: bool,
    bounds: dict[str, Any],
) -> None:
    from devino_async.contrib.aiohttp_web import serving  # noqa: PLC0415

    token = token or devino_async.new_token()
    tracker = devino_async.DeliveryTracker(devino_async.SQLiteStore(database)) if database is not None else None
    stopped = asyncio.Event()
    printing = _Printing(tracker, json_lines, stopped)
    for number in (signal.SIGINT, signal.SIGTERM):
        on_signal(number, stopped.set)
    receiver = devino_async.CallbackReceiver(
        token=token, on_status=printing.on_status, on_incoming=printing.on_incoming
    )
    try:
        async with serving(receiver, host, port, **bounds) as address:
            url = f"{(public or address).rstrip('/')}/{token}"
            say(f"listening; the address for callback_url is\n  {url}\nCtrl-C stops it")
            if json_lines:
                printing.line({"url": url})
            await stopped.wait()
    except OSError as error:
        stop(f"cannot listen on {host}:{port}: {error.strerror}", USAGE)
    finally:
        if tracker is not None:
            await tracker.aclose()


class _Saying(logging.Handler):
    """Writes the SDK's warnings to stderr, such as unreadable events or a lack of file descriptors."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        say(f"devino: {record.getMessage()}")


class _Printing:
    """Prints events. With a tracker, they are stored before they are printed. Sets `stopped` when stdout is closed."""

    def __init__(
        self, tracker: "devino_async.DeliveryTracker | None", json_lines: bool, stopped: asyncio.Event
    ) -> None:
        self._tracker = tracker
        self._json_lines = json_lines
        self._stopped = stopped

    async def on_status(self, events: "Sequence[devino_async.StatusCallback]") -> None:
        if self._tracker is not None:
            await self._tracker.on_status(events)
        for event in events:
            if self._json_lines:
                known = {
                    "message_id": event.message_id,
                    "status": event.status,
                    "timestamp": event.timestamp,
                    "error_code": event.error_code,
                    "options": event.options,
                }
                self.line({**event.extra, **{name: value for name, value in known.items() if value is not None}})
            else:
                moment = f"{event.timestamp:%Y-%m-%d %H:%M:%S}"
                error = f"  error {event.error_code}" if event.error_code else ""
                self._say(f"{moment}  {printable(event.message_id)}  {printable(event.status)}{error}")

    async def on_incoming(self, events: "Sequence[devino_async.IncomingMessage]") -> None:
        for event in events:
            if self._json_lines:
                names = ("incoming_message_id", "to", "sender", "text", "transaction_id", "prefix", "operator")
                known = {name: getattr(event, name) for name in (*names, "country_name", "timestamp")}
                self.line({**event.extra, **{name: value for name, value in known.items() if value is not None}})
            else:
                moment = f"{event.timestamp:%Y-%m-%d %H:%M:%S}"
                self._say(f"{moment}  from {printable(event.sender)} to {printable(event.to)}: {printable(event.text)}")

    def line(self, values: dict[str, object]) -> None:
        """Print one line of JSON."""
        self._say(as_json(values))

    def _say(self, text: str) -> None:
        try:
            click.echo(text)
        except OSError:
            self._stopped.set()
            raise
