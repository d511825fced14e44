"""Continuing: which campaign of the journal a file goes on with, and when a person must decide that.

The comparing itself is in campaigns/. Here it is put into words, and into an exit status.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from attrs import frozen

from devino_async.campaigns import Comparison, Row, compare

from .console import USAGE, say
from .first_pass import FirstPass
from .intake import Intake
from .journals import stored_path

if TYPE_CHECKING:
    from devino_async.campaigns import Journal

__all__ = ["Continued", "address_of", "continued", "default_name"]

_DAY = timedelta(days=1)
_DEFAULT_HOST = "api.devino.online"
_PORTS = {"http": 80, "https": 443}


@frozen(kw_only=True)
class Continued:
    """The campaign that a run of `devino send` goes on with or begins.

    `output` is where its results went before, if anywhere.
    """

    name: str
    only_new: bool
    output: str | None = None


def address_of(base_url: str) -> str:
    """Return scheme, host and port of the service, as a journal notes them."""
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


def default_name(file: Path, address: str) -> str:
    """Return the name of a file's campaign. Another service than the real one is part of it: a trial is not the run."""
    host = address.partition("://")[2]
    return file.name if host == f"{_DEFAULT_HOST}:443" else f"{file.name}@{host}"


async def continued(
    journal: "Journal",
    file: Path,
    read: Callable[[], Iterator[Row]],
    *,
    journal_path: Path,
    name: str | None,
    address: str,
    only_new: bool,
    limit: int | None,
) -> Continued | int:
    """Compare a file with its campaigns in the journal. Return the one that goes on, or an exit status.

    `read` begins to read the rows, of which the first `limit` are to be sent. Without a `name` the file's name is the
    campaign's.
    """
    first = FirstPass()
    rows = read()
    found = await compare(
        journal,
        first.messages(Intake(islice(rows, limit))),
        name=name or default_name(file, address),
        address=address,
        path=None if name else stored_path(file, journal_path),
        rest=first.messages(Intake(rows)),
    )
    if first.interrupted is not None:
        return first.interrupted
    if not only_new and found.missing:
        _say_missing(found, file)
        return USAGE
    if not only_new and found.finished_at is not None and datetime.now(UTC) - found.finished_at > _DAY:
        say(f"all {found.unchanged:,} rows were sent in campaign {found.name!r}, which finished on {_local(found)}")
        say(f"nothing was sent. To send them all once more, add this: --campaign {found.free_name}")
        return USAGE
    _say_which(found, file, journal_path, is_default=found.name == default_name(file, address) or name is not None)
    return Continued(name=found.name, only_new=True, output=None if found.campaign is None else found.campaign.output)


def _say_missing(found: Comparison, file: Path) -> None:
    gone = [f"{found.missing_sent:,} that were sent"] if found.missing_sent else []
    gone += [f"{found.missing_in_doubt:,} that may have been sent"] if found.missing_in_doubt else []
    say(f"{file.name} has changed since campaign {found.name!r}: {' and '.join(gone)} are no longer in it")
    say(f"it has {found.unchanged:,} unchanged rows and {found.new:,} new ones. Nothing was sent. Add one of these:")
    say(f"  --only-new  to go on, and send what is not in the journal: {found.new + found.unsent:,} rows")
    say(f"  --campaign {found.free_name}  to send all {found.unchanged + found.new:,} rows, in a campaign of their own")


def _say_which(found: Comparison, file: Path, journal_path: Path, *, is_default: bool) -> None:
    if found.campaign is None:
        if not is_default:
            say(f"no row of {file.name} is in its earlier campaigns, so this is a new one: {found.name!r}")
        say(f"campaign {found.name!r} begins; its journal is {journal_path}")
        return
    if found.finished_at is not None:
        say(f"all {found.unchanged:,} rows were sent in campaign {found.name!r}; nothing is sent")
        return
    unsent = f", of which {found.unsent:,} were not sent yet" if found.unsent else ""
    gone = f"; {found.missing:,} that were or may have been sent are no longer in the file" if found.missing else ""
    say(f"campaign {found.name!r} goes on: {found.unchanged:,} rows unchanged{unsent}, {found.new:,} new{gone}")


def _local(found: Comparison) -> str:
    assert found.finished_at is not None  # noqa: S101
    return f"{found.finished_at.astimezone():%Y-%m-%d at %H:%M}"
