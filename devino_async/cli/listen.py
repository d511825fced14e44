"""`devino listen`: status callbacks and incoming messages, printed as they come.

What a request means is webhooks.py's, the server contrib's.
"""

import asyncio
import signal
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .running import as_json, on_signal, printable, run, say, stop

if TYPE_CHECKING:
    from devino_async import DeliveryTracker, IncomingMessage, StatusCallback

__all__ = ["listen"]


@click.command(epilog="Example: devino listen --port 8080 --public https://sms.example.com --database deliveries.db")
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 lets others than this machine in.")
@click.option(
    "--public", metavar="URL", help="How the service reaches this machine; only for the address that is told."
)
@click.option(
    "--token", envvar="DEVINO_CALLBACK_TOKEN", help="Default: $DEVINO_CALLBACK_TOKEN, or a new one each time."
)
@click.option(
    "--database", type=click.Path(dir_okay=False), help="Keep deliveries in this file, made by DeliveryTracker."
)
@click.option("--json", "json_lines", is_flag=True, help="JSON lines on stdout; the first one is the address.")
def listen(
    *, port: int, host: str, public: str | None, token: str | None, database: str | None, json_lines: bool
) -> None:
    """Listen until Ctrl-C and print what comes. The address that is told belongs into callback_url, or to the service's
    support for incoming messages; whoever knows it can send you anything, so keep it to yourself.
    """
    run(_listen(host=host, port=port, public=public, token=token, database=database, json_lines=json_lines))


async def _listen(
    *, host: str, port: int, public: str | None, token: str | None, database: str | None, json_lines: bool
) -> None:
    from devino_async import CallbackReceiver, DeliveryTracker, SQLiteStore, new_token  # noqa: PLC0415

    from ..contrib.aiohttp_web import serving  # noqa: PLC0415

    token = token or new_token()
    tracker = DeliveryTracker(SQLiteStore(database)) if database is not None else None
    stopped = asyncio.Event()
    printing = _Printing(tracker, json_lines, stopped)
    for number in (signal.SIGINT, signal.SIGTERM):
        on_signal(number, stopped.set)
    receiver = CallbackReceiver(token=token, on_status=printing.on_status, on_incoming=printing.on_incoming)
    try:
        async with serving(receiver, host, port) as address:
            url = f"{(public or address).rstrip('/')}/{token}"
            say(f"listening; the address for callback_url is\n  {url}\nCtrl-C ends it")
            if json_lines:
                printing.line({"url": url})
            await stopped.wait()
    except OSError as error:
        stop(f"cannot listen on {host}:{port}: {error.strerror}", 2)
    finally:
        if tracker is not None:
            await tracker.aclose()


class _Printing:
    """Prints events; with a tracker, only once they are safe. Sets `stopped` when nobody reads any more."""

    def __init__(self, tracker: "DeliveryTracker | None", json_lines: bool, stopped: asyncio.Event) -> None:
        self._tracker = tracker
        self._json_lines = json_lines
        self._stopped = stopped

    async def on_status(self, events: "Sequence[StatusCallback]") -> None:
        if self._tracker is not None:
            await self._tracker.on_status(events)
        for event in events:
            if self._json_lines:
                told = {
                    "message_id": event.message_id,
                    "status": event.status,
                    "timestamp": event.timestamp,
                    "error_code": event.error_code,
                    "options": event.options,
                }
                self.line({**event.extra, **{name: value for name, value in told.items() if value is not None}})
            else:
                moment = f"{event.timestamp:%Y-%m-%d %H:%M:%S}"
                error = f"  error {event.error_code}" if event.error_code else ""
                self._say(f"{moment}  {printable(event.message_id)}  {printable(event.status)}{error}")

    async def on_incoming(self, events: "Sequence[IncomingMessage]") -> None:
        for event in events:
            if self._json_lines:
                names = ("incoming_message_id", "to", "sender", "text", "transaction_id", "prefix", "operator")
                told = {name: getattr(event, name) for name in (*names, "country_name", "timestamp")}
                self.line({**event.extra, **{name: value for name, value in told.items() if value is not None}})
            else:
                moment = f"{event.timestamp:%Y-%m-%d %H:%M:%S}"
                self._say(f"{moment}  from {printable(event.sender)} to {printable(event.to)}: {printable(event.text)}")

    def line(self, told: dict[str, object]) -> None:
        self._say(as_json(told))

    def _say(self, text: str) -> None:
        try:
            click.echo(text)
        except OSError:
            self._stopped.set()
            raise
