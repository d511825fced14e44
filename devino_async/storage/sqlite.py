"""One SQLite file and the one thread that works on it: opening, checking, transactions, group commit, closing.

Work is a plain function that gets the connection and runs in that thread, so that no query blocks the event loop.
Several processes may use one file. The caller supplies the tables, the queries, and the error class for a file that
cannot be used. Errors that SQLite raises during work are passed on unchanged.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from ..errors import ClientClosed, DevinoError
from .places import Place

__all__ = ["SQLiteFile", "truncate_log"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
_Caller = tuple[Work[Any], "asyncio.Future[Any]"]

_BUSY_SECONDS = 30.0
_BUSY_PAUSE = 0.01
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
# FULL: on disk at every commit, not only at checkpoints. On macOS fsync alone leaves data in the drive's cache.
# secure_delete overwrites deleted data, which may include message texts and phone numbers.
_SETTINGS = ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON", "secure_delete = ON")


class _Failed:
    """The outcome of work that raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class SQLiteFile:
    """The file `path`. It is opened for the first piece of work, and created with mode 0600 if it is missing.

    `schema` holds the statements that create the tables. `version` is written into the file's user_version.
    `upgrades` holds the work that brings a file of one version to the next. A file with other tables, or of a version
    from which no upgrades lead to this one, is refused and left unchanged. `kind` names the file's purpose in errors.
    `error` is raised if the file cannot be opened or used, and ClientClosed is raised after `aclose`. `explain` turns
    what SQLite or the operating system raised at opening into words. `before_opening` runs in the thread, and may
    raise `error`. Tasks of several event loops may use one SQLiteFile.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        schema: Sequence[str],
        version: int,
        kind: str,
        error: type[DevinoError],
        upgrades: Mapping[int, Work[None]] | None = None,
        explain: Callable[[Exception], str] = str,
        before_opening: Callable[[], None] | None = None,
    ) -> None:
        self._path = os.fspath(path)
        self._schema = schema
        self._version = version
        self._upgrades = upgrades or {}
        self._kind = kind
        self._error = error
        self._explain = explain
        self._before_opening = before_opening
        self._place = Place(self._path)
        self._thread = ThreadPoolExecutor(1, f"devino {kind}")
        self._connection: sqlite3.Connection | None = None
        self._waiting: SimpleQueue[_Caller] = SimpleQueue()
        self._is_commit_due = False
        self._closing: Future[None] | None = None
        self._process: int | None = None

    def __repr__(self) -> str:
        return f"SQLiteFile({self._path!r})"

    async def do(self, work: Work[T]) -> T:
        """Run the work outside any transaction and return its result. Use it for reads and settings."""
        self._check_usable()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._with_connection, work)

    async def together(self, work: Work[T]) -> T:
        """Run the work in a transaction and return its result once that is on disk.

        Callers that come while another transaction is being written share the next one. If a piece of work raises,
        only that piece is undone, and only its own caller gets the error. Work must not begin, commit or roll back a
        transaction. It must change nothing but the file: if SQLite rolls back the whole transaction, each piece of
        work runs again in a transaction of its own. A caller that is cancelled returns at once, but its work is still
        carried out.
        """
        self._check_usable()
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.put((work, told))
        # The job clears the flag before it takes what waits, so it finds the work of each caller that saw the flag set.
        # The thread runs the job even if this event loop ends, so a loop that ends cannot leave the flag set.
        if not self._is_commit_due:
            self._is_commit_due = True
            self._thread.submit(self._commit)
        outcome = await told
        if isinstance(outcome, _Failed):
            raise outcome.error
        result: T = outcome
        return result

    def soon(self, work: Work[Any]) -> None:
        """Let the thread do the work when it comes to it, unless the file is closed. What it raises is dropped."""
        if self._closing is None and not self._is_forked():
            self._thread.submit(self._with_connection, work)

    async def aclose(self) -> None:
        """Finish all work that was begun and close the file. In a forked child, leave it to the parent."""
        if self._is_forked():
            return
        if self._closing is None:
            # The thread does its jobs in order, so this one comes after all work, including that of cancelled callers.
            self._closing = self._thread.submit(self._close)
            self._thread.shutdown(wait=False)
        # Shielded: cancelling the wrapped future would take the job out of the queue, and the file would stay open.
        await asyncio.shield(asyncio.wrap_future(self._closing))

    def _is_forked(self) -> bool:
        return self._process not in {None, os.getpid()}

    def _check_usable(self) -> None:
        if self._closing is not None:
            raise ClientClosed(f"the {self._kind} is closed")
        if self._is_forked():
            # A child has neither the thread nor the locks of its parent, and a connection must not cross a fork.
            raise self._error(f"this {self._kind} was used before the process forked; open it in each process")
        self._process = os.getpid()

    def trouble(self) -> str | None:
        """Return what a person has done to the open file, or None. What is written then is lost, or not seen by others.

        Call it in the thread. It takes microseconds.
        """
        return self._place.trouble()

    # In the thread

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _with_connection(self, work: Work[T]) -> T:
        if self._connection is None:
            self._connection = self._opened()
        return work(self._connection)

    def _commit(self) -> None:
        self._is_commit_due = False
        callers = list(_taken(self._waiting))
        outcomes: Sequence[Any]
        try:
            outcomes = self._with_connection(partial(_outcomes, [work for work, _ in callers]))
        except BaseException as error:  # noqa: BLE001 - every caller waits for it, whatever it is
            outcomes = [_Failed(error)] * len(callers)
        # One call for each event loop: every call wakes the loop, and the two threads would fight for the GIL.
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for (_, told), outcome in zip(callers, outcomes, strict=True):
            by_loop.setdefault(told.get_loop(), []).append((told, outcome))
        for loop, told_outcomes in by_loop.items():
            with suppress(RuntimeError):  # The loop was closed, and its callers are gone.
                loop.call_soon_threadsafe(_tell, told_outcomes)

    def _opened(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = None
        try:
            if self._before_opening is not None:
                self._before_opening()
            is_file = self._path != ":memory:"
            if is_file and (problem := self._place.create()):
                raise self._unusable(problem)
            connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._prepare(connection)
            if is_file and (problem := self._place.remember()):
                raise self._unusable(problem)
            # A process that was killed may have left deleted data in it.
            truncate_log(connection)
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            # Texts in which SQLite says what is damaged may be damaged too.
            problem = self._explain(error)
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                problem = "it is not an SQLite file. Check that the path is right, and that the file is not damaged"
        except DevinoError:
            if connection is not None:
                connection.close()
            raise
        else:
            return connection
        if connection is not None:
            connection.close()
        raise self._unusable(problem)

    def _unusable(self, problem: str) -> DevinoError:
        return self._error(f"the file {self._path!r} cannot be used as a {self._kind}: {problem}")

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Checked before WAL is switched on, which would change a foreign file for good.
        self._version_of(connection)
        _switch_to_wal(connection)
        for setting in _SETTINGS:
            connection.execute(f"PRAGMA {setting}")
        with _transaction(connection):
            # Read again: another process may have created the tables in the meantime.
            version = self._version_of(connection)
            if version is None:
                for statement in self._schema:
                    connection.execute(statement)
            else:
                for older in range(version, self._version):
                    self._upgrades[older](connection)
            if version != self._version:
                connection.execute(f"PRAGMA user_version = {self._version}")
            # BEGIN IMMEDIATE does not fail on a file that may only be read. This does, and it changes nothing.
            connection.execute(f'DELETE FROM "{min(_tables(connection))}" WHERE 0')  # noqa: S608 - a name of ours

    def _version_of(self, connection: sqlite3.Connection) -> int | None:
        """Return the file's version, or None if it has no tables yet. Raises the caller's error if it is unusable."""
        # Tables first: another process commits tables and version together. If it did so after we had read the
        # version, they would look like tables without one.
        tables = _tables(connection)
        if not tables:
            return None
        version: int
        [version] = connection.execute("PRAGMA user_version").fetchone()
        with closing(sqlite3.connect(":memory:")) as empty:
            for statement in self._schema:
                empty.execute(statement)
            expected = _tables(empty)
        if not expected <= tables:
            raise self._unusable("it holds other tables. Check that the path is right, or use the version that made it")
        if version > self._version or not self._upgrades.keys() >= {*range(version, self._version)}:
            raise self._unusable(
                f"it has format {version}, and this version of devino-async reads format {self._version}. Use the "
                "version that made it"
            )
        return version


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # Only this statement ignores the connection's timeout while another process opens the file.
            if not _is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(_BUSY_PAUSE)


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute(_TABLES)}


def _taken(waiting: "SimpleQueue[_Caller]") -> Iterator[_Caller]:
    with suppress(Empty):
        while True:
            yield waiting.get_nowait()


def _tell(told_outcomes: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
    for told, outcome in told_outcomes:
        if not told.done():
            told.set_result(outcome)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit all of the block or none of it, even if the disk is full."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After some errors SQLite has already rolled back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _outcomes(works: Sequence[Work[Any]], connection: sqlite3.Connection) -> list[Any]:
    """Run all the work in one transaction. Return the result of each piece, or what it raised as _Failed."""
    try:
        with _transaction(connection):
            # A single piece needs no savepoint: if it raises, the whole transaction is undone, and no other piece is in
            # it.
            return [works[0](connection)] if len(works) == 1 else [_outcome(work, connection) for work in works]
    except Exception as error:  # noqa: BLE001 - handed to the callers
        failed = _Failed(error)
    # If busy, another process has held the file for _BUSY_SECONDS. Each piece of work, tried alone, could wait as long.
    if len(works) == 1 or _is_busy(failed.error):
        return [failed] * len(works)
    # A full disk makes SQLite roll back the whole transaction. Run one by one, the pieces that still fit succeed.
    return [outcome for work in works for outcome in _outcomes([work], connection)]


def _is_busy(error: BaseException) -> bool:
    # The extended code holds the basic one in its low byte.
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_BUSY


def _outcome(work: Work[T], connection: sqlite3.Connection) -> T | _Failed:
    connection.execute("SAVEPOINT work")
    outcome: T | _Failed
    try:
        outcome = work(connection)
    except Exception as error:
        if not connection.in_transaction:
            raise
        connection.execute("ROLLBACK TO work")
        outcome = _Failed(error)
    connection.execute("RELEASE work")
    return outcome


def truncate_log(connection: sqlite3.Connection) -> None:
    """Move what is in the write-ahead log into the file, and empty it. Deleted data would stay in it otherwise."""
    # Another process may be reading. It truncates the log in its turn, so this one does not wait for it.
    [timeout] = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {timeout}")
