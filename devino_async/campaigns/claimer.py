"""Signs of life: a small locked file beside the journal for each process that has claimed something.

The operating system drops the lock when the process ends, however it ends. A process that is frozen keeps it. So
whether a process is alive never depends on a clock. `flock` is used, never `lockf`, and never on the journal itself:
closing any descriptor of that file would drop SQLite's locks on it.

Such a file is empty until the journal names the process, and is emptied before the journal ceases to do so. So if a
file has content, but the journal does not name its process, this is not the journal that the process has used.
"""

import errno
import os
import secrets
import string
import sys
import threading
from collections.abc import Collection
from contextlib import suppress

__all__ = ["Claimer"]

_LETTERS = 8
_ENDING = ".claimer"
_NAMED = b"The journal names the process that has locked this file.\n"

# The descriptors of the locked files of this process. No fork may happen between opening a file and adding it here.
_held: set[int] = set()
_forking = threading.Lock()


class Claimer:
    """One open journal, as the other users of its file see it. The methods run in the thread of the journal's file.

    `path` is absolute, because a later change of the working directory must not make a living process look dead.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._process: int | None = None
        self._is_named = False
        # Empty until the first claim. So each process that was forked from this one before then gets its own name.
        self.name = ""

    @property
    def is_held(self) -> bool:
        """Whether it has been used for a claim."""
        return self._descriptor is not None

    def hold(self) -> None:
        """Make sure that the file exists and is locked. If a person deleted it, it is made again.

        Call it in a transaction that writes.
        """
        if self._descriptor is not None:
            if self._is_in_place(self._descriptor):
                return
            self.close()
        self.name = self.name or "".join(secrets.choice(string.ascii_lowercase) for _ in range(_LETTERS))
        # The same mode as the journal: a group that may use the journal must be able to test this lock.
        mode = os.stat(self._path).st_mode & 0o666  # noqa: PTH116 - the path is text throughout
        with _forking:
            try:
                descriptor, is_new = os.open(self._file_of(self.name), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), True
            except FileExistsError:
                descriptor, is_new = os.open(self._file_of(self.name), os.O_RDWR), False
            _held.add(descriptor)
        self._descriptor, self._process = descriptor, os.getpid()
        is_locked = False
        try:
            # This fails only on Windows, and only if another process tests the lock at this very moment.
            is_locked = _lock(descriptor)
        finally:
            if not is_locked:
                self._drop()
                # One that was there before may have another owner.
                if is_new:
                    self.remove(self.name)
        if not is_locked:
            raise OSError(errno.EAGAIN, "the .claimer file beside it could not be locked")

    def is_alive(self, name: str) -> bool:
        """Return whether the process that holds this name is still running. If its file is missing, it is not."""
        if name == self.name:
            return True
        try:
            descriptor = os.open(self._file_of(name), os.O_RDWR)
        except FileNotFoundError:
            return False
        except PermissionError:
            # It belongs to another user. Waiting for a dead process is safe, but taking over from a living one is not.
            return True
        try:
            return not _lock(descriptor, shared=True)
        finally:
            os.close(descriptor)

    def remove(self, name: str) -> None:
        """Remove the file of a dead claimer, once the journal no longer names it."""
        with suppress(OSError):
            os.unlink(self._file_of(name))  # noqa: PTH108

    @property
    def is_named(self) -> bool:
        """Whether `note_named` was called since the file was made."""
        return self._is_named

    def note_named(self) -> None:
        """Note in the file that the journal names this process. Call it after the transaction that does so."""
        if self._descriptor is not None and not self._is_named:
            self._is_named = True
            # Without the note a lost journal goes unnoticed, but nothing else is wrong.
            with suppress(OSError):
                os.write(self._descriptor, _NAMED)

    def empty(self, name: str) -> None:
        """Take the note back, durably. Call it before the transaction that takes the name out of the journal."""
        with suppress(OSError):
            descriptor = os.open(self._file_of(name), os.O_RDWR)
            try:
                os.ftruncate(descriptor, 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove_strays(self, known: Collection[str]) -> str | None:
        """Remove the files of processes that were killed before the journal named them. `known` are the names in it.

        Returns the name of a file that shows that its process has used another journal than this one, or None.
        Call it in a transaction that writes. `hold` is called in one too, so no other process is in the middle of it.
        """
        folder, beginning = os.path.split(f"{self._path}.")
        with suppress(OSError):
            for each in os.listdir(folder):  # noqa: PTH208
                name = each.removeprefix(beginning).removesuffix(_ENDING)
                is_ours = each == f"{beginning}{name}{_ENDING}" and len(name) == _LETTERS
                if not is_ours or name in known or name == self.name:
                    continue
                if self._has_note(name):
                    return each
                if not self.is_alive(name):
                    self.remove(name)
        return None

    def close(self, *, leave_file: bool = False) -> None:
        """Drop the lock and remove the file. In a forked child, leave both to the parent."""
        if self._descriptor is None or self._process != os.getpid():
            return
        is_in_place = self._is_in_place(self._descriptor)
        self._drop()
        if is_in_place and not leave_file:
            self.remove(self.name)

    def _drop(self) -> None:
        with _forking:
            if self._descriptor is not None:
                _held.remove(self._descriptor)
                os.close(self._descriptor)
            self._descriptor = None
        self._is_named = False

    def _file_of(self, name: str) -> str:
        return f"{self._path}.{name}{_ENDING}"

    def _has_note(self, name: str) -> bool:
        try:
            return os.stat(self._file_of(name)).st_size > 0  # noqa: PTH116
        except FileNotFoundError:
            return False

    def _is_in_place(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._file_of(self.name)))  # noqa: PTH116
        except OSError:
            return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, shared: bool = False) -> bool:
        del shared  # There is only one kind of lock. Two processes that test at once may both think that it is held.
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool = False) -> bool:
        """Take the lock if it is free. Those that only test it share it, so none takes another for its owner."""
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _close_in_child() -> None:
    """Close the descriptors that a forked child inherited. They would outlive the parent and keep its locks."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_forking.acquire, after_in_parent=_forking.release, after_in_child=_close_in_child)
