"""When and how fast `devino send` sends: the options for it, and what the user is told about waits."""

from collections.abc import Callable
from datetime import UTC, datetime, time, tzinfo
from typing import Any, TypeVar

import click

import devino_async
from devino_async.campaigns import Schedule

from .console import say
from .options import moment

__all__ = ["deadline_hint", "default_batch_size", "schedule_of", "scheduled", "telling"]

F = TypeVar("F", bound=Callable[..., Any])


def scheduled(command: F) -> F:
    """Add the options that say when and how fast to send."""
    for option in (
        click.option(
            "--segments-per-second",
            type=click.FloatRange(0, min_open=True),
            metavar="N",
            help="Send no faster, on average. Long texts have several segments.",
        ),
        click.option("--deadline", type=_deadline, metavar="TIME", help="Send nothing at or after this time."),
        click.option(
            "--window", type=_window, metavar="HH:MM-HH:MM", help="Wait outside these times of day. Needs --time-zone."
        ),
    ):
        command = option(command)
    return command


def schedule_of(options: dict[str, Any]) -> Schedule | None:
    """Return the schedule that the options say. Raises click.UsageError for options that cannot be used together."""
    window, deadline, zone = options["window"], options["deadline"], options["time_zone"]
    if window is None and deadline is None:
        return None
    if window is not None and zone is None:
        raise click.UsageError("--window needs --time-zone, such as --time-zone Europe/Moscow")
    if deadline is not None and deadline.tzinfo is None:
        deadline = _in_zone(deadline, zone)
    return Schedule(window=window, time_zone=zone, deadline=deadline)


def _in_zone(deadline: datetime, zone: tzinfo | None) -> datetime:
    if zone is None:
        raise click.UsageError("--deadline must have a time zone, such as 2026-12-01T21:00+03:00, or use --time-zone")
    aware = deadline.replace(tzinfo=zone)
    if aware.replace(fold=0).utcoffset() != aware.replace(fold=1).utcoffset():
        raise click.UsageError("--deadline does not exist in that zone, or comes twice. Write its offset: ...+03:00")
    return aware


def default_batch_size(default: int, options: dict[str, Any]) -> int:
    """Return the size of a batch: what is asked for, or else the default.

    With --segments-per-second, the default is not much more than one second may carry.
    """
    if options["batch_size"] is not None:
        return int(options["batch_size"])
    rate = options["segments_per_second"]
    return default if rate is None else min(default, max(1, int(rate)))


def telling(schedule: Schedule) -> Callable[["devino_async.ClientEvent"], None]:
    """Return a function for `on_event` that tells the user about waits."""

    def tell(event: "devino_async.ClientEvent") -> None:
        if isinstance(event, devino_async.WindowClosed):
            opens_at = event.opens_at.astimezone(schedule.time_zone)
            say(f"outside the window: waiting until {opens_at:%Y-%m-%d %H:%M %Z}; Ctrl-C ends the wait")

    return tell


def deadline_hint(schedule: Schedule | None) -> str | None:
    """Return what to say about messages that were not sent, if the schedule lets nothing begin any more."""
    if schedule is None or schedule.opens_at(datetime.now(UTC)) is not None:
        return None
    return "nothing can be sent before the deadline any more; a later --deadline sends the rest"


def _window(value: str) -> tuple[time, time]:
    """Convert two times of day, such as 09:00-21:00."""
    first, dash, last = value.partition("-")
    try:
        begins, ends = (datetime.strptime(each.strip(), "%H:%M").time() for each in (first, last if dash else ""))  # noqa: DTZ007
    except ValueError:
        raise click.BadParameter("must be two times of day, such as 09:00-21:00") from None
    if begins == ends:
        raise click.BadParameter("must end at another time than it begins")
    return begins, ends


def _deadline(value: str) -> datetime:
    """Convert a date and time. A date alone could mean its beginning or its end."""
    if ":" not in value:
        raise click.BadParameter("must have a time of day, such as 2026-12-01T21:00")
    return moment(value)
