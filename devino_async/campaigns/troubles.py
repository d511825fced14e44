"""Troubles with a journal's file, as error texts that say what to do next.

A file that exists may know what was sent. So its errors never offer another place, or to do without a journal.
"""

import errno
import os
import re
import sqlite3
import stat
import sys
from collections.abc import Iterator

from ..errors import JournalFailed

__all__ = ["RESTORE", "damaged", "explained", "network_file_system", "refuse_place", "replaced"]

RESTORE = (
    "Stop all that use it, put the file back, and reconcile before anything is sent: what was sent since is not in it"
)
# File systems take 255 bytes, of which a .claimer file needs 17 for itself.
_MAX_NAME = 238
_SHOWN_NAME = 40
_MOUNTS = "/proc/self/mountinfo"
# On these, locks or shared memory do not work between machines.
_NETWORK = frozenset(
    "9p acfs afs beegfs ceph cephfs cifs coda davfs gfs2 glusterfs gpfs lustre ncpfs nfs nfs4 ocfs2 orangefs pvfs2 "
    "smb2 smb3 smbfs vmhgfs "
    "fuse.sshfs fuse.glusterfs fuse.s3fs fuse.rclone fuse.davfs fuse.gcsfuse fuse.goofys fuse.ceph "
    "fuse.cephfs fuse.curlftpfs fuse.mfs fuse.juicefs fuse.smbnetfs fuse.vmhgfs-fuse".split()
)
_ELSEWHERE = "Choose another place (devino send: --journal PATH), or do without a journal (--no-journal)"
_AGAIN = "run the same command again"
_FULL = f"the disk is full. Free space and {_AGAIN}"
_FORBIDDEN = f"it cannot be written. {_ELSEWHERE}"
_KEEP = "it knows what was sent, and sending without it would send all of that again"
_FORBIDDEN_BUT_THERE = f"it cannot be written. Make the file and its folder writable: {_KEEP}"
_MISSING = f"its folder does not exist. Create it, or: {_ELSEWHERE}"
_DAMAGED = "it is damaged. Restore a copy, and reconcile before you send: a copy has no record of later claims"
_BY_CODE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _FORBIDDEN,
    sqlite3.SQLITE_CANTOPEN: _FORBIDDEN,
    sqlite3.SQLITE_PERM: _FORBIDDEN,
    sqlite3.SQLITE_BUSY: f"another process has kept it locked for 30 seconds. Wait until it ends and {_AGAIN}",
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
}
_BY_NUMBER = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: _FORBIDDEN,
    errno.ENOENT: _MISSING,
    errno.ENOTDIR: _MISSING,
}


def has_record(path: str) -> bool:
    """Return whether the file may know what was sent: it is there and not empty, or that cannot be found out."""
    try:
        found = os.stat(path)  # noqa: PTH116 - the path is text throughout
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def explained(error: Exception, path: str) -> str:
    """Return what an error of SQLite or of the operating system says about the journal's file, and what to do."""
    if isinstance(error, UnicodeDecodeError):
        return _DAMAGED
    if isinstance(error, OSError):
        known = _BY_NUMBER.get(error.errno or 0)
        what = error.strerror
    else:
        # The extended code holds the basic one in its low byte.
        known = _BY_CODE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF)
        what = str(error)
    if known == _FORBIDDEN and has_record(path):
        return _FORBIDDEN_BUT_THERE
    return known or f"{what or type(error).__name__}. Check the disk and the folder, and {_AGAIN}"


def damaged(campaign: str | None) -> str:
    """Return the error text for a damaged record."""
    where = "of keyed sends" if campaign is None else f"of the campaign {campaign!r}"
    return f"its record {where} is damaged. Restore the file from a copy, and reconcile before anything is sent"


def replaced(stray: str) -> str:
    """Return the error text for a journal that does not name the process of a file beside it."""
    return (
        f"it was replaced or has lost its last changes: {stray!r} is of a process that it does not know. Nothing "
        f"is sent. Put back the right journal. If there is none, reconcile and delete that file. Then {_AGAIN}"
    )


def refuse_place(path: str) -> None:
    """Raise JournalFailed if processes that use this path would not see each other, as far as that can be detected."""
    name = os.path.basename(path)  # noqa: PTH119 - the path is text throughout
    if len(os.fsencode(name)) > _MAX_NAME:
        raise JournalFailed(
            f"the name of the journal {name[:_SHOWN_NAME]!r}... is too long: the names of the files beside it would "
            f"have more than 255 bytes. Give it one of up to {_MAX_NAME} bytes (devino send: --journal PATH)"
        )
    mounts = _mounts()
    kind = "network share" if _is_share(path) else network_file_system(path, mounts)
    if kind and has_record(path):
        raise JournalFailed(
            f"the journal {path!r} lies on a network file system ({kind}), where locks do not work. Move it to a local "
            f"disk, with its -wal file if there is one, and name it there (devino send: --journal PATH): {_KEEP}"
        )
    if kind:
        raise JournalFailed(
            f"the journal {path!r} would lie on a network file system ({kind}), where locks do not work. {_ELSEWHERE}"
        )
    if any(point == path for point, _ in _mounted(mounts)):
        raise JournalFailed(
            f"the journal {path!r} is mounted as a single file, without the -wal and .claimer files beside it. What "
            "they hold would be lost with the container, and others would not see it. Mount the folder of the journal "
            "instead"
        )


def network_file_system(path: str, mounts: str) -> str | None:
    """Return the file system type of an absolute path if it is a network one. `mounts` is the text of a mountinfo."""
    found, kind = "", ""
    for point, some in _mounted(mounts):
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # A later mount on the same point hides the earlier one.
        if inside and len(point) >= len(found):
            found, kind = point, some
    return kind if kind in _NETWORK else None


def _mounted(mounts: str) -> Iterator[tuple[str, str]]:
    """Yield each mount point and the type of its file system."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) >= 5 and after:
            yield re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]), after.split()[0]


def _is_share(path: str) -> bool:
    return sys.platform == "win32" and path.startswith("\\\\")


def _mounts() -> str:
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123
            return mounts.read()
    except OSError:
        # Not Linux, or not readable.
        return ""
