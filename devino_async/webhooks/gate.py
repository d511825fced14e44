"""A server's connections that have not sent a valid token: how many there may be, and for how long.

Without these limits, unfinished requests use up all file descriptors, and the service cannot connect any more. Any
asyncio server can use a Gate, if it reports three events: a connection has opened, has sent a valid token, or has
closed. Tokens are in tokens.py.
"""

import asyncio
import errno
import logging
from collections.abc import Callable
from typing import Any

from ..checks import require_number

__all__ = ["Gate", "OncePerMinute"]

_log = logging.getLogger("devino_async")

_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_MINUTE = 60.0
_MAX_SECONDS = 3_600


class OncePerMinute:
    """Log a warning at most once a minute, with the number of warnings that were passed over meanwhile."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due_at = clock()
        self._passed_over = 0

    def say(self, text: str) -> None:
        """Log the text, or only count it if the last warning is less than a minute old."""
        if self._clock() < self._due_at:
            self._passed_over += 1
            return
        more = f" ({self._passed_over:,} more since the last line)" if self._passed_over else ""
        _log.warning("%s%s", text, more)
        self._due_at = self._clock() + _MINUTE
        self._passed_over = 0


class Gate:
    """Close connections that send no valid token: after `header_timeout` seconds, or earlier if there are too many.

    If there are more than `max_unauthenticated`, the oldest one is closed. An honest sender needs milliseconds to send
    its token, while an attacker keeps its connections for as long as it can.
    """

    def __init__(self, *, max_unauthenticated: int, header_timeout: float) -> None:
        require_number("header_timeout", header_timeout, above=True, maximum=_MAX_SECONDS, unit="seconds")
        require_number("max_unauthenticated", max_unauthenticated, minimum=1, whole=True)
        self._max_unauthenticated = max_unauthenticated
        self._header_timeout = header_timeout
        self._loop = asyncio.get_running_loop()
        # In order of arrival, because dicts keep insertion order.
        self._unauthenticated: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._warnings = OncePerMinute(self._loop.time)
        self._handler_before: Any = None

    def __len__(self) -> int:
        return len(self._unauthenticated)

    def entered(self, connection: asyncio.Transport) -> None:
        """Count a new connection."""
        self._unauthenticated[connection] = self._loop.call_later(self._header_timeout, self._close, connection)
        if len(self._unauthenticated) > self._max_unauthenticated:
            self._close_oldest()

    def proved(self, connection: asyncio.BaseTransport | None) -> None:
        """Stop counting a connection, because it has sent a valid token or is closed."""
        timer = self._unauthenticated.pop(connection, None) if connection is not None else None
        if timer is not None:
            timer.cancel()

    def watch_descriptors(self) -> None:
        """Handle the event loop's errors about a lack of free descriptors, until `unwatch_descriptors` is called.

        Without this, asyncio writes a traceback for each connection that it cannot accept.
        """
        self._handler_before = self._loop.get_exception_handler()
        self._loop.set_exception_handler(self._on_error)

    def unwatch_descriptors(self) -> None:
        """Restore the event loop's previous exception handler."""
        self._loop.set_exception_handler(self._handler_before)

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if "socket" in context and isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
            # asyncio tries to accept again after a second, and can then use the descriptor that this frees.
            self._close_oldest()
            self._warnings.say("the process has no free descriptors, so connections wait")
        elif self._handler_before is not None:
            self._handler_before(loop, context)
        else:
            loop.default_exception_handler(context)

    def _close_oldest(self) -> None:
        if self._unauthenticated:
            self._close(next(iter(self._unauthenticated)))

    def _close(self, connection: Any) -> None:
        self.proved(connection)
        # Not close(), which would first try to send data that the other side may never read.
        connection.abort()
