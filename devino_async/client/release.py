"""Closing a client from synchronous code, on the event loop that it was used on. The pytest plugin does so."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from .client import DevinoClient

__all__ = ["release"]

_GRACE = 1.0
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def release(client: DevinoClient, run: Run) -> None:
    """Close a client whose event loop may be open, closed, or running in another thread, or that was never used.

    `run` runs a coroutine on some other event loop.
    """
    home = client._owner.home
    if home is None:
        run(client.aclose(_GRACE))
    elif home.is_closed():
        # What was in flight ended with the loop. The sessions are closed so that they do not warn.
        client._closed = True
        run(client._pool.aclose())
    elif home.is_running():
        closing = asyncio.run_coroutine_threadsafe(client.aclose(_GRACE), home)
        if not _runs_here(home):
            closing.result()
    else:
        # In a thread, because this thread may be running another event loop.
        closer = threading.Thread(target=home.run_until_complete, args=(client.aclose(_GRACE),))
        closer.start()
        closer.join()


def _runs_here(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
