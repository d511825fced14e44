"""A client that synchronous code can close, on the event loop that it was used on. The pytest plugin makes it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from .client import DevinoClient

__all__ = ["ReleasableClient"]

_GRACE = 1.0
Run = Callable[[Coroutine[Any, Any, Any]], Any]


class ReleasableClient(DevinoClient):
    """A DevinoClient with one method more."""

    def release(self, run: Run) -> None:
        """Close the client. Its event loop may be open, closed, running in another thread, or none so far.

        `run` runs a coroutine on some other event loop.
        """
        home = self._owner.home
        if home is None:
            run(self.aclose(_GRACE))
        elif home.is_closed():
            # What was in flight ended with the loop. The sessions are closed so that they do not warn.
            self._closed = True
            run(self._pool.aclose())
        elif home.is_running():
            closing = asyncio.run_coroutine_threadsafe(self.aclose(_GRACE), home)
            if not _runs_here(home):
                closing.result()
        else:
            # In a thread, because this thread may be running another event loop.
            closer = threading.Thread(target=home.run_until_complete, args=(self.aclose(_GRACE),))
            closer.start()
            closer.join()


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
