"""A process that kills itself at one of its own SQL statements: in a schema's creation, a claim, a settle, the end.

A clock outside seldom hits these moments. The signal is a real one, and the process dies of it at once.
"""

import itertools
import os
import sqlite3
import threading
from typing import Any

from attrs import frozen

__all__ = ["Trap", "set_trap"]


@frozen
class Trap:
    """Send this process `signal` at its statement `number` (counted from 1), or so many seconds after that began."""

    signal: int
    number: int
    delay: float = 0.0


def set_trap(trap: Trap) -> None:
    """Count the statements of every SQLite file that is opened from now on."""
    connect = sqlite3.connect
    count = itertools.count(1)

    def spring() -> None:
        os.kill(os.getpid(), trap.signal)

    def statement(_: str) -> None:
        if next(count) == trap.number:
            if trap.delay:
                threading.Timer(trap.delay, spring).start()
            else:
                spring()

    def watched(path: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(path, *arguments, **options)
        if path != ":memory:":
            connection.set_trace_callback(statement)
        return connection

    sqlite3.connect = watched  # type: ignore[assignment]
