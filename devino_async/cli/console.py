"""Output, streams, signals and exit statuses: how every command talks to its terminal and ends.

Data goes to stdout, text for people to stderr. Calls to the service are in the commands' files.
"""

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NoReturn, TextIO

import click

import devino_async
from devino_async import campaigns

__all__ = [
    "FAILED",
    "MESSAGES_FAILED",
    "STOP_SIGNALS",
    "USAGE",
    "CommandFailed",
    "agreed",
    "as_json",
    "counted",
    "end_at_signals",
    "exit_status_of",
    "flush_streams",
    "on_signal",
    "open_output",
    "output_path",
    "printable",
    "refuse_existing",
    "run",
    "say",
    "silence",
    "standard_input",
    "status_of",
    "stop",
]

MESSAGES_FAILED = 1
USAGE = 2
FAILED = 3
_NO_STDOUT = "stdout is closed, so the results cannot be written"
_NAMES_OF_STDOUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
# The signals that ask a command to stop. Windows has no SIGHUP.
STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class CommandFailed(Exception):
    """A failure of this machine that a command can name, such as too little memory.

    The command prints it as one line and exits with FAILED.
    """


def say(text: str) -> None:
    """Write text for people to stderr. A closed stderr does not stop the work."""
    with suppress(OSError):
        click.echo(text, err=True)


def agreed() -> bool:
    """Ask whether to go on. Return False for a no, for Ctrl-C, and where there is no terminal to ask on."""
    try:
        if click.confirm("Go on?", err=True):
            return True
    except click.Abort:
        # Ctrl-C or the end of the input ends the line of the question.
        say("")
    say("nothing was changed. --yes does it without asking")
    return False


def stop(text: str, status: int) -> NoReturn:
    """Write the reason to stderr and exit with the status."""
    say(f"devino: {text}")
    sys.exit(status)


def run(work: Coroutine[Any, Any, int | None], *, prints: bool = True) -> NoReturn:
    """Run a command to its end and exit with its status. An expected error prints one line, not a traceback.

    `prints` says that the command's results go to stdout. In that case the command does not start if stdout is closed.
    """
    if prints and not _can_print():
        work.close()
        stop(_NO_STDOUT, USAGE)
    _accept_any_text(sys.stdout)
    try:
        status = asyncio.run(work)
        flush_streams()
    except (devino_async.DevinoError, CommandFailed) as error:
        stop(str(error), status_of(error))
    except BrokenPipeError:
        # The reader of our output, such as `head`, has seen enough.
        silence(sys.stdout)
        sys.exit(0)
    except OSError as error:
        stop(error.strerror or type(error).__name__, FAILED)
    except MemoryError:
        stop("there is not enough memory", FAILED)
    sys.exit(status or 0)


def status_of(error: Exception) -> int:
    """Return the exit status after an error that ended a command."""
    if isinstance(error, campaigns.CampaignPaused | campaigns.CampaignCancelled):
        return MESSAGES_FAILED
    if isinstance(error, campaigns.JournalError) and not isinstance(error, campaigns.JournalFailed):
        return USAGE
    wrong = (devino_async.ConfigurationError, devino_async.InvalidMessage, devino_async.InvalidQuery)
    return USAGE if isinstance(error, wrong) else FAILED


def output_path(context: click.Context, parameter: click.Parameter, value: str | None) -> Path | None:
    """Convert the value of an --output option. A closed stdout is noticed even if the value is its path."""
    if value in _NAMES_OF_STDOUT and not _can_print():
        stop(_NO_STDOUT, USAGE)
    kind: click.Path = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
    return None if value is None else kind.convert(value, parameter, context)  # type: ignore[return-value]


def _can_print() -> bool:
    """Return whether stdout is open for writing. Python leaves None in place of a stream that was closed."""
    if sys.stdout is None:
        return False
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):
        return True  # stdout is not a file but an object that our caller, such as a test, put there.
    try:
        # This writes nothing, but it still raises if the file is not open for writing.
        os.write(number, b"")
    except OSError:
        return False
    return True


def _accept_any_text(file: Any) -> None:
    """Make sure that no character makes writing fail.

    Files and pipes get UTF-8, and characters that cannot be encoded are escaped.
    """
    if isinstance(file, io.TextIOWrapper):
        file.reconfigure(encoding=None if file.isatty() else "utf-8", errors="backslashreplace")


def flush_streams() -> None:
    """Write out what stdout and stderr still hold. Either may be closed."""
    for file in (sys.stdout, sys.stderr):
        if file is not None:
            file.flush()


def silence(file: Any) -> None:
    """Redirect a file that has lost its reader to the null device. Otherwise Python would fail to flush it at exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        return


def standard_input() -> TextIO:
    """Return stdin. Raises click.UsageError if it is closed."""
    if sys.stdin is None:
        raise click.UsageError("stdin is closed, so the input cannot be read")
    return sys.stdin


def open_output(path: Path, *, overwrite: bool) -> IO[str]:
    """Open a file for results. Raises click.UsageError if it cannot be written.

    A regular file that is not empty is refused unless `overwrite` is set. It may be the only record of an earlier run.
    """
    refuse_existing(path, overwrite=overwrite)
    try:
        # A bad row may hold bytes of another encoding, which are written escaped.
        return path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from None


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise click.UsageError for a regular file that is not empty, unless `overwrite` is set."""
    try:
        if not overwrite and path.is_file() and path.stat().st_size > 0:
            raise click.UsageError(f"{path} exists and may be the only record; --overwrite replaces it")
    except OSError as error:
        raise click.UsageError(f"cannot write {path}: {error.strerror}") from None


def on_signal(number: int, call: Callable[[], object]) -> None:
    """Have the event loop call a function when the signal comes. A signal that `nohup` made ignored stays ignored."""
    # SIGINT is always handled. Shells ignore it in background jobs, but it must be possible to stop those too.
    if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN:
        return
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, call)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))


def end_at_signals() -> None:
    """Have signals end the process at once, until the next `on_signal`. One that `nohup` made ignored stays ignored."""
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        try:
            if loop.remove_signal_handler(number):
                signal.signal(number, signal.SIG_DFL)
        except NotImplementedError:  # Windows
            signal.signal(number, signal.SIG_DFL)


def exit_status_of(number: int) -> int:
    """Return the exit status after a signal, as shells report it."""
    return 128 + number


def counted(count: int, noun: str) -> str:
    """Return a count and what it counts, such as `1 row` or `2,000 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def as_json(value: Any) -> str:
    """Return one line of JSON. Dates are ISO 8601, and amounts are strings, so nothing is rounded."""
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return list(value) if isinstance(value, tuple | set) else dict(value)


def printable(value: Any) -> str:
    """Return a value as text for a terminal: empty for None, and with a dot for each character that is not printable.

    A control character could move the cursor.
    """
    text = "" if value is None else str(value)
    return text if text.isprintable() else "".join(each if each.isprintable() else "\N{MIDDLE DOT}" for each in text)
