"""Ownership: exchanges that cost money run in tasks that the client owns, not the caller.

A caller that is cancelled or times out returns at once. The exchange goes on in its task, and its
result is not lost. Nothing in this file knows what the tasks do.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ..errors import ConfigurationError

__all__ = ["Owner", "hand_over", "to_the_end"]

T = TypeVar("T")

# How many forks lie between this process and the first one. It is read for every message. Asking
# the system for the process id instead would cost a call each time.
_forks = 0


def _forked() -> None:
    global _forks  # noqa: PLW0603 - a process has one such number
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Owner:
    """Holds tasks until each has ended. It lives on one event loop and in one process."""

    def __init__(self) -> None:
        # The loop holds only weak references to tasks. Without this set, a task whose caller is gone
        # could be garbage-collected.
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

    @property
    def home(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that it lives on, or None before its first use."""
        return self._loop

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start the work in a task of its own. Cancelling its caller does not cancel it, but `drain` may."""
        task = asyncio.create_task(work, name="devino-exchange")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work that may be abandoned, and return its result. Cancelling the caller cancels the work."""
        task = self.start(work)
        try:
            # `wait` raises CancelledError only if the caller was cancelled. If `drain` cancelled the
            # task, `result` raises it below.
            await asyncio.wait({task})
        except asyncio.CancelledError:
            task.cancel()
            raise
        return task.result()

    async def drain(self, grace: float) -> int:
        """Wait up to `grace` seconds for all tasks, then cancel the rest. Return how many were cancelled."""
        tasks = set(self._tasks)
        if not tasks:
            return 0
        try:
            _, late = await asyncio.wait(tasks, timeout=grace)
        except asyncio.CancelledError:
            # The task that closes the client was cancelled itself. Cancel the exchanges at once, but
            # still wait for them. Each has receipts to give, and if the session were closed first,
            # the proof of what was sent would be lost.
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
    """Call `unclaimed` with the result of a task whose caller is gone, as soon as the task has a result."""

    def report(done: "asyncio.Task[T]") -> None:
        if not done.cancelled() and done.exception() is None:
            unclaimed(done.result())

    task.add_done_callback(report)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await short work to its end, even if this task is cancelled meanwhile. Closing cannot cut the work short."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            # The task still counts as being cancelled, so its caller can see that nothing more may begin.
            continue
    return task.result()
