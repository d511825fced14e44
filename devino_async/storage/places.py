"""Where a file lies: whether what is open is still what lies there, and what a lost file has left behind."""

import os
import shlex
import stat
import threading
from contextlib import suppress

__all__ = ["Place"]

# Closing any descriptor of a file drops all locks that the process has on that file, SQLite's included. Each thread
# takes this lock before it connects. So while one thread creates the file and closes it again, no other thread has a
# connection to it yet.
_creating = threading.Lock()


class Place:
    """A path, and which files lay there when it was opened.

    SQLite goes on with the files that it has open if a person deletes or replaces them. What it writes then is lost
    when the process ends, and other processes do not see it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._before: os.stat_result | None = None
        self._opened: list[tuple[str, os.stat_result]] = []

    def create(self) -> str | None:
        """Create the file if it is missing, before it is opened. Returns why it may not be opened, or None.

        It is for its owner alone. SQLite gives its -wal and -shm files the same mode.
        """
        # SQLite deletes a log whose file is missing or empty. The file gets its first page before there is a log, and
        # keeps that page. The log is looked at first: if another process makes both meanwhile, its file is seen too.
        if _size(f"{self._path}-wal") and not _size(self._path):
            return (
                "it is missing or empty, but its -wal file is not, so it was deleted or emptied. Restore it. To begin "
                "a new one, move the -wal file away too"
            )
        with _creating, suppress(FileExistsError):
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._before = _stat(self._path)
        if stat.S_ISREG(self._before.st_mode) and self._before.st_nlink > 1:
            # SQLite names its log and its locks after the name that it is given.
            return (
                "it has several names (hard links), and processes that use different ones do not see each other. "
                f"Delete all names but one. This command lists them: find / -samefile {shlex.quote(self._path)}"
            )
        return None

    def remember(self) -> str | None:
        """Note which files lie there, after it was opened. Returns why it may not be used, or None."""
        self._opened = [(path, _stat(path)) for path in (self._path, f"{self._path}-wal", f"{self._path}-shm")]
        if self._before is None or os.path.samestat(self._before, self._opened[0][1]):
            return None
        return "it was replaced while it was being opened. Try again"

    def trouble(self) -> str | None:
        """Return what happened to the files since they were opened, or None. It takes microseconds."""
        for path, opened in self._opened:
            name = os.path.basename(path)  # noqa: PTH119 - the path is text throughout
            try:
                now = _stat(path)
            except FileNotFoundError:
                return f"{name!r} was deleted or moved away while it was in use"
            if not os.path.samestat(opened, now):
                return f"{name!r} was replaced while it was in use"
            if path == self._path and not now.st_size:
                return f"{name!r} was emptied while it was in use"
        return None


def _size(path: str) -> int:
    try:
        return _stat(path).st_size
    except FileNotFoundError:
        return 0


def _stat(path: str) -> os.stat_result:
    return os.stat(path)  # noqa: PTH116 - the path is text throughout
