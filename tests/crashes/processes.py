"""Real processes, made in a few milliseconds: each is forked from one that has imported the package and nothing else.

So a thousand kills take minutes. No process that is killed here shares memory, locks or files with another.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["programs"])
GIVE_UP = 120.0
"""Seconds after which a process or the server counts as hung. Nothing ever waits for it when all is well."""


class Hung(AssertionError):
    """A process did not end, or did not answer."""


class Child:
    """A process that runs `program(job)`. It waits for `go` with everything ready, so that kills can be timed."""

    def __init__(self, program: Callable[[Any, Pipe], None], job: Any) -> None:
        self._pipe, theirs = CONTEXT.Pipe()
        self._process: BaseProcess = CONTEXT.Process(target=_run, args=(program, job, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def go(self) -> None:
        """Let it begin. Returns once it does."""
        self.hear("ready")
        self._pipe.send("go")

    def hear(self, word: str) -> None:
        """Wait until it says this word."""
        while True:
            if not self._pipe.poll(GIVE_UP):
                raise Hung(f"{word!r} was never said")
            if self._pipe.recv() == word:
                return

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended already."""
        if self._process.exitcode is None and self._process.pid is not None:
            os.kill(self._process.pid, number)

    def ends_within(self, seconds: float, *others: Pipe) -> bool:
        """Wait so long for its end, or until one of the other pipes has something to read. Return whether it ended."""
        wait([self._process.sentinel, *others], seconds)
        return self._process.exitcode is not None

    def end(self) -> int:
        """Wait for its end and return its exit status: a negative one is the signal that killed it."""
        self._process.join(GIVE_UP)
        status = self._process.exitcode
        if status is None:
            self.signal(signal.SIGKILL)
            self._process.join()
        self._process.close()
        self._pipe.close()
        if status is None:
            raise Hung("a process did not end")
        return status


def _run(program: Callable[[Any, Pipe], None], job: Any, pipe: Pipe) -> None:
    program(job, pipe)


@contextmanager
def child(program: Callable[[Any, Pipe], None], job: Any) -> Iterator[Child]:
    """A process that does not outlive the block."""
    made = Child(program, job)
    try:
        yield made
    finally:
        if made._process._popen is not None and not getattr(made._process, "_closed", False):  # type: ignore[attr-defined]
            made.signal(signal.SIGKILL)
            made.signal(signal.SIGCONT)
            made.end()
