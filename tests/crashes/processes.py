"""Real processes, made in a few milliseconds: each is forked from one that has imported the package and nothing else.

So a thousand kills take minutes. No process that is killed here shares memory, locks or files with another.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import devino_async

GIVE_UP = 120.0
"""Seconds after which a process or the server counts as hung. Nothing ever waits for it when all is well."""
Program = Callable[[Any, Pipe], None]


@cache
def forking() -> Any:
    """Return what makes processes, once the one that they are forked from has been started."""
    # It finds modules where this process does, and not first in the working directory.
    finds = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in finds}
    os.environ.update(finds)
    try:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["programs", "counting_server", "command_lab", "key_lab", "verb_lab"])
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context


class Hung(AssertionError):
    """A process did not end, or did not answer."""


class Child:
    """A process that runs `program(job)`. It waits for `go` with everything ready, so that kills can be timed."""

    def __init__(self, program: Program, job: Any) -> None:
        self._pipe, theirs = forking().Pipe()
        self._process: BaseProcess | subprocess.Popen[bytes] = self._started(program, job, theirs)
        theirs.close()

    def _started(self, program: Program, job: Any, pipe: Pipe) -> "BaseProcess | subprocess.Popen[bytes]":
        process = forking().Process(target=program, args=(job, pipe), daemon=True)
        process.start()
        self._sentinel = process.sentinel
        return process

    def _status(self, seconds: float = 0.0) -> int | None:
        assert isinstance(self._process, BaseProcess)
        self._process.join(seconds)
        return self._process.exitcode

    def go(self) -> None:
        """Let it begin. Returns once it does."""
        self.hear(f"ready with {devino_async.__file__}")
        self._pipe.send("go")

    def hear(self, word: str) -> None:
        """Wait until it says this word."""
        while True:
            if not self._pipe.poll(GIVE_UP):
                raise Hung(f"{word!r} was never said")
            heard = self._pipe.recv()
            if heard == word:
                return
            if heard.startswith("ready"):
                raise AssertionError(f"another copy of the package is running: {heard}")

    def signal(self, number: int) -> None:
        """Send it a signal, unless it has ended already."""
        if self._status() is None and self._process.pid is not None:
            # It may have ended just now, which is known a moment later.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def ends_within(self, seconds: float, *others: Pipe) -> bool:
        """Wait so long for its end, or until one of the other pipes has something to read. Return whether it ended."""
        wait([self._sentinel, *others], seconds)
        return self._status() is not None

    def end(self) -> int:
        """Wait for its end and return its exit status: a negative one is the signal that killed it."""
        status = self._status(GIVE_UP)
        if status is None:
            raise Hung("a process did not end")
        return status

    def close(self) -> None:
        """End it if it still runs, frozen or not."""
        self.signal(signal.SIGKILL)
        self._status(GIVE_UP)
        self._pipe.close()


class Spawned(Child):
    """The same with a program of its own from the start, and its own environment."""

    def __init__(self, program: Program, job: Any, environment: Mapping[str, str]) -> None:
        self._environment = environment
        super().__init__(program, job)

    def _started(self, program: Program, job: Any, pipe: Pipe) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("programs.py")), str(pipe.fileno())],
            pass_fds=[pipe.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **self._environment},
        )
        self._sentinel = os.pidfd_open(process.pid)
        self._pipe.send((program.__name__, job))
        return process

    def _status(self, seconds: float = 0.0) -> int | None:
        assert isinstance(self._process, subprocess.Popen)
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        super().close()
        os.close(self._sentinel)


@contextmanager
def child(program: Program, job: Any, environment: Mapping[str, str] | None = None) -> Iterator[Child]:
    """A process that does not outlive the block. One with an environment of its own takes longer to begin."""
    made = Child(program, job) if environment is None else Spawned(program, job, environment)
    try:
        yield made
    finally:
        made.close()
