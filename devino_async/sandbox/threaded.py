"""SandboxThread: a sandbox in a thread of its own, with methods that block, for tests without an async plugin."""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from .records import Repeated, SentMessage
from .replies import Reply
from .server import Sandbox
from .troubles import Faults

__all__ = ["SandboxThread"]

T = TypeVar("T")


class SandboxThread:
    """A sandbox that runs in a thread of its own. It takes the options of `Sandbox`.

        with SandboxThread() as sandbox:
            ... DevinoClient("any-key", base_url=sandbox.url) ...

    Its methods are those of `Sandbox`, and they block. On an event loop, await `wait_for_async` and `reply_async`.
    """

    def __init__(self, **options: Any) -> None:
        self._sandbox = Sandbox(**options)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()

    def __repr__(self) -> str:
        return f"SandboxThread({self.url or 'not running'!r})"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the thread, and return when the sandbox listens. Raises what `Sandbox.start` raises."""
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="devino-sandbox", daemon=True)
        self._thread.start()
        self._loop = ready.result()

    def stop(self) -> None:
        """Stop the sandbox and its thread. It may be called twice, or before `start`."""
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(self._stopped.set)
        if self._thread is not None:
            self._thread.join()

    def _run(self, ready: "Future[asyncio.AbstractEventLoop]") -> None:
        asyncio.run(self._serve(ready))

    async def _serve(self, ready: "Future[asyncio.AbstractEventLoop]") -> None:
        try:
            await self._sandbox.start()
        except BaseException as error:  # noqa: BLE001 - the thread that called `start` raises it
            ready.set_exception(error)
            return
        ready.set_result(asyncio.get_running_loop())
        try:
            await self._stopped.wait()
        finally:
            await self._sandbox.stop()

    @property
    def url(self) -> str:
        """The address of the sandbox."""
        return self._sandbox.url

    @property
    def faults(self) -> Faults:
        """The faults of answers and callbacks. Set its attributes."""
        return self._sandbox.faults

    @property
    def requests(self) -> "Counter[str]":
        """The number of requests by path."""
        return self._sandbox.requests

    @property
    def messages(self) -> tuple[SentMessage, ...]:
        """All accepted messages, in order. More than 10,000 are a RuntimeError."""
        return self._sandbox.messages

    def find(
        self, *, to: str | None = None, text: str | None = None, after: str | None = None, limit: int = 1_000
    ) -> tuple[SentMessage, ...]:
        """Return messages to a number, whose text holds `text`, behind the one with the id `after`, in order."""
        return self.run(self._sandbox.find(to=to, text=text, after=after, limit=limit))

    def wait_for(
        self, *, to: str | None = None, text: str | None = None, after: str | None = None, timeout: float = 5.0
    ) -> SentMessage:
        """Return the first message that `find` would return, as soon as it is accepted. Raises TimeoutError.

        If this thread runs an event loop and the message is not there yet, it raises RuntimeError, because the wait
        would block what is to send the message.
        """
        __tracebackhide__ = True  # pytest shows the line of the test instead.
        if _on_a_loop():
            found = self.find(to=to, text=text, after=after, limit=1)
            if not found:
                raise RuntimeError("wait_for would block the event loop: use `await sandbox.wait_for_async(...)`")
            return found[0]
        try:
            return self.run(self._sandbox.wait_for(to=to, text=text, after=after, timeout=timeout))
        except TimeoutError as late:
            raise TimeoutError(str(late)) from None

    async def wait_for_async(
        self, *, to: str | None = None, text: str | None = None, after: str | None = None, timeout: float = 5.0
    ) -> SentMessage:
        """Wait like `wait_for` without blocking the event loop."""
        __tracebackhide__ = True
        work = self._sandbox.wait_for(to=to, text=text, after=after, timeout=timeout)
        return await asyncio.wrap_future(self._begin(work))

    def repeated(self) -> tuple[Repeated, ...]:
        """Return the messages that were accepted more than once, at most a thousand of them."""
        return self.run(self._sandbox.repeated())

    def assert_nothing_sent_twice(self) -> None:
        """Raise NotSentOnce, an AssertionError, if a message was accepted twice: same sender, recipient and text."""
        __tracebackhide__ = True
        self._sandbox.assert_nothing_sent_twice()

    def reply(self, sender: str, text: str, *, to: str | None = None, url: str | None = None) -> Reply:
        """POST an incoming message from a phone to a receiver, and return what came of it. Raises ValueError.

        `to` is the sender of the last message to that phone by default, and `url` is its callbackUrl. If this thread
        runs an event loop it raises RuntimeError, because a receiver on that loop could not answer.
        """
        if _on_a_loop():
            raise RuntimeError("reply would block the event loop: await reply_async(...) instead")
        return self.run(self._sandbox.reply(sender, text, to=to, url=url))

    async def reply_async(self, sender: str, text: str, *, to: str | None = None, url: str | None = None) -> Reply:
        """Do the same as `reply` without blocking the event loop."""
        return await asyncio.wrap_future(self._begin(self._sandbox.reply(sender, text, to=to, url=url)))

    def clear(self) -> None:
        """Forget all messages, replies, counts and faults."""
        self.run(self._sandbox.clear())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the sandbox's event loop and return its result."""
        return self._begin(work).result()

    def _begin(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        if self._loop is None:
            work.close()
            raise RuntimeError("the sandbox is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
