"""What the killed processes run: a campaign, keyed sends, or the command line. Everything here is public API.

Each writes what it saw to a file, a line a receipt: the position or the key, the kind, the id or the reasons.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

from attrs import Factory, frozen
from inputs import Input, Listed, Stuck
from traps import Trap, set_trap

import devino_async
from devino_async import (
    Accepted,
    DevinoClient,
    DevinoError,
    Limits,
    Message,
    NotSent,
    Receipt,
    Rejected,
    RetryPolicy,
    Timeouts,
    Unconfirmed,
)
from devino_async.campaigns import JournalError, SQLiteJournal

ENDED_EARLY = 4
"""The exit status of a program whose stream raised an error."""
_LINES_A_WRITE = 100


@frozen(kw_only=True)
class Campaign:
    """One run of a campaign by the library. `graceful` programs cancel their own task at SIGTERM, as servers do."""

    url: str
    journal: str | None
    name: str
    input: Input | Listed | Stuck
    saw: str
    batch_size: int = 500
    in_flight: int = 4
    only_new: bool = False
    graceful: bool = False
    events: bool = False
    trap: Trap | None = None
    stream_deadline: float = 60.0


@frozen(kw_only=True)
class KeyedSends:
    """Sends under keys, by so many callers at once. A key may stand there several times."""

    url: str
    journal: str
    sends: Sequence[tuple[str, Message]]
    saw: str
    callers: int = 50
    in_flight: int = 4
    total: float | None = None
    trap: Trap | None = None


@frozen(kw_only=True)
class Verb:
    """A decision about a campaign or a key, as a method of the journal, or `reconcile`."""

    url: str
    journal: str
    name: str
    arguments: Sequence[Any] = ()
    options: Mapping[str, Any] = Factory(dict)
    trap: Trap | None = None


@frozen(kw_only=True)
class Command:
    """`devino` with these arguments. Its stderr goes to `saw`."""

    url: str
    arguments: Sequence[str]
    saw: str
    trap: Trap | None = None


def run_campaign(job: Campaign, pipe: Pipe) -> None:
    """Run a campaign once, from the start to the end of its input."""
    _begin(job, pipe)
    try:
        _end(asyncio.run(_campaign(job, pipe)))
    except asyncio.CancelledError:
        _end(128 + signal.SIGTERM)


def run_keyed_sends(job: KeyedSends, pipe: Pipe) -> None:
    """Send everything under its key once."""
    _begin(job, pipe)
    _end(asyncio.run(_keyed_sends(job)))


def run_verb(job: Verb, pipe: Pipe) -> None:
    """Carry out one verb. If the journal refuses, the process ends early."""
    _begin(job, pipe)
    try:
        asyncio.run(carry_out(job))
    except JournalError:
        _end(ENDED_EARLY)


def run_command(job: Command, pipe: Pipe) -> None:
    """Run the command line."""
    from devino_async.__main__ import main

    told = os.open(job.saw, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, target in ((nothing, 0), (nothing, 1), (told, 2)):
        os.dup2(number, target)
    os.environ |= {"DEVINO_BASE_URL": job.url, "DEVINO_API_KEY": "any-key"}
    sys.argv = ["devino", *job.arguments]
    _begin(job, pipe)
    try:
        main()
    except SystemExit as end:
        _end(end.code if isinstance(end.code, int) else 0)


def kind_of(receipt: Receipt) -> tuple[str, str]:
    """The kind of a receipt, and what else must be the same at every run."""
    if isinstance(receipt, Accepted):
        return "accepted", receipt.message_id
    if isinstance(receipt, Rejected):
        return "rejected", ",".join(map(str, receipt.reasons))
    if isinstance(receipt, NotSent):
        return "not_sent", ""
    assert isinstance(receipt, Unconfirmed)
    # A run that ended early read it, and did not ask the journal. The next run tells what became of it.
    return ("unlooked" if "not looked up" in receipt.error.problem else "unconfirmed"), ""


def _begin(job: Any, pipe: Pipe) -> None:
    # A lab that was started by `nohup` has inherited that some are ignored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if job.trap is not None:
        set_trap(job.trap)
    pipe.send(f"ready with {devino_async.__file__}")
    pipe.recv()


def _end(status: int) -> None:
    sys.exit(status)


@asynccontextmanager
async def _client(job: Any, journal: Any, **options: Any) -> AsyncIterator[DevinoClient]:
    if journal is not None:
        options["journal"] = journal
    client = DevinoClient("any-key", base_url=job.url, limits=Limits(in_flight=job.in_flight), **options)
    async with client:
        yield client


class _Saw:
    """The file of receipts. A line that was written survives the process."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._lines: list[str] = []

    def line(self, *fields: object, now: bool = False) -> None:
        self._lines.append("\t".join(map(str, fields)) + "\n")
        if now or len(self._lines) == _LINES_A_WRITE:
            self.write()

    def write(self) -> None:
        os.write(self._file, "".join(self._lines).encode())
        self._lines.clear()


async def _campaign(job: Campaign, pipe: Pipe) -> int:
    saw = _Saw(job.saw)
    on_event = _telling(pipe) if job.events else None
    if job.graceful:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    options = {} if job.journal is None else {"campaign": job.name, "only_new": job.only_new}
    retry = RetryPolicy(stream_deadline=job.stream_deadline)
    async with _journal(job.journal) as journal, _client(job, journal, retry=retry, on_event=on_event) as client:
        position = 0
        try:
            async for receipt in client.send_many(job.input.messages(), batch_size=job.batch_size, **options):
                saw.line(position, *kind_of(receipt))
                position += 1
        except DevinoError as error:
            saw.line("!", type(error).__name__, str(error), now=True)
            return ENDED_EARLY
        finally:
            saw.write()
    return 0


async def carry_out(job: Verb) -> None:
    """Carry out one verb in this process."""
    async with SQLiteJournal(Path(job.journal)) as journal:
        if job.name != "reconcile":
            await getattr(journal, job.name)(*job.arguments, **job.options)
            return
        async with DevinoClient("any-key", base_url=job.url, journal=journal) as client:
            await client.reconcile(**job.options)


async def _keyed_sends(job: KeyedSends) -> int:
    saw = _Saw(job.saw)
    left = iter(job.sends)
    wrong = 0

    async def caller(client: DevinoClient) -> None:
        nonlocal wrong
        for key, message in left:
            try:
                saw.line(key, *kind_of(await client.send(message, key=key)), now=True)
            except DevinoError as error:
                saw.line("!", type(error).__name__, str(error), now=True)
                wrong += 1

    timeouts = Timeouts(total=job.total)
    async with _journal(job.journal) as journal, _client(job, journal, timeouts=timeouts) as client:
        await asyncio.gather(*(caller(client) for _ in range(job.callers)))
    return ENDED_EARLY if wrong else 0


@asynccontextmanager
async def _journal(path: str | None) -> AsyncIterator[Any]:
    if path is None:
        yield None
    else:
        async with SQLiteJournal(Path(path)) as journal:
            yield journal


def _telling(pipe: Pipe) -> Any:
    """Pass each change of a lane on, as a word of its state."""

    def told(event: Any) -> None:
        if hasattr(event, "state"):
            pipe.send(str(event.state))

    return told


if __name__ == "__main__":
    # See Spawned in processes.py. The job was pickled there by the modules' own names.
    _pipe = Pipe(int(sys.argv[1]))
    _name, _job = _pipe.recv()
    import programs

    getattr(programs, _name)(_job, _pipe)
