"""The command line: one group, and a file for each command, which is imported when the command is called.

Each command's file imports what it needs at the top, with two exceptions that would load aiohttp. Public names of
`devino_async` are looked up where they are used, and a server is imported where it is started. So `--help` never loads
aiohttp.

Data goes to stdout, everything else to stderr. The exit status is one of these:

- 0: all is well
- 1: some messages were rejected, not sent or unconfirmed, or something is wrong with a checked file
- 2: wrong usage or configuration
- 3: the call failed
- 128 plus the number of a signal: the signal stopped the command
"""

import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from ..version import VERSION

__all__ = ["devino"]

_COMMANDS = {
    "demo": "A whole campaign against the built-in sandbox. Needs no account.",
    "send": "Send a file of messages, CSV or JSON lines.",
    "check": "What a file would send and cost. Nothing is sent.",
    "campaign": "Campaigns: list, show and watch them, and decide about them.",
    "status": "Delivery statuses by message id.",
    "details": "All that is known about sent messages.",
    "stats": "Counts by status and period.",
    "account": "The account's balance.",
    "listen": "Print status callbacks and incoming messages as they come.",
    "sandbox": "Run a pretend Devino on this machine.",
}


class _Lazy(click.Group):
    """A group that knows its commands by name, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        found = getattr(import_module(f".{cmd_name}", __package__), cmd_name)
        assert isinstance(found, click.Command)  # noqa: S101
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        _occupy_closed_streams()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # click would exit with 1, which here means that some messages were not accepted.
            click.echo("devino: interrupted", err=True)
            ctx.exit(130)


def _occupy_closed_streams() -> None:
    """Occupy the file descriptors 0, 1 and 2 that the caller closed, as with `>&-`.

    Otherwise the next file or connection would get one of these numbers, and text for stderr could end up in it. The
    number is given to a directory, so writing to `/dev/stdout` fails instead of silently losing the data. `sys.stdout`
    stays None, which the commands check. Text for a closed stderr is discarded.
    """
    for number, file in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if file is None:
            # os.open returns the lowest free number, which is the closed one. Windows cannot open a directory,
            # and does not need to.
            with suppress(OSError):
                if os.open(os.sep, os.O_RDONLY) != number:
                    return
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the rest of the process


@click.group(
    cls=_Lazy,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: devino send campaign.csv --sender MyCompany --output results.csv",
)
@click.version_option(VERSION, prog_name="devino")
def devino() -> None:
    """Bulk SMS through Devino Telecom.

    Credentials come from the environment: DEVINO_API_KEY, or DEVINO_LOGIN and DEVINO_PASSWORD. DEVINO_BASE_URL sets
    another address. Try `devino demo` first.
    """
