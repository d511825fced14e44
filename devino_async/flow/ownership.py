"""Ownership: exchanges that somebody paid for run in tasks of the client, not of the caller.

A caller that is cancelled or times out leaves at once; the task goes on and is accounted for. What the tasks do is
not known here.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..errors import ConfigurationError

__all__ = ["Owner"]

T = TypeVar("T")

# How often this process is a fork of a fork; asked for with every message, so no system call.
_forks = 0


def _forked() -> None:
    global _forks  # noqa: PLW0603 - a process has one such number
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Owner:
    """Holds the tasks that are under way until each has ended. It lives on one event loop and in one process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forks = 0

    def check_home(self) -> None:
        """Raise ConfigurationError on another event loop than before, or in a process that was forked since."""
        loop = asyncio.get_running_loop()
        if self._loop is loop and self._forks == _forks:
            return
        if self._loop is None:
            self._loop, self._forks = loop, _forks
        elif self._forks != _forks:
            raise ConfigurationError("this client was used before the process forked; make one client in each process")
        else:
            raise ConfigurationError("this client was used on another event loop; make one client for each loop")

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run the work in a task of its own."""
        task = asyncio.create_task(work, name="devino-exchange")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def alone(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work that nobody misses: cancelling the caller cancels it."""
        task = self.start(work)
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        return task.result()

    async def drain(self, grace: float) -> int:
        """Wait up to `grace` seconds for what is under way, then cancel the rest; gives how many were cancelled."""
        tasks = set(self._tasks)
        if not tasks:
            return 0
        try:
            _, late = await asyncio.wait(tasks, timeout=grace)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            raise
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)


def hand_over(task: "asyncio.Task[T]", unclaimed: Callable[[T], None]) -> None:
    """Give the result of a task that nobody waits for any more to `unclaimed`, now or when it is there."""

    def report(done: "asyncio.Task[T]") -> None:
        if not done.cancelled() and done.exception() is None:
            unclaimed(done.result())

    task.add_done_callback(report)
