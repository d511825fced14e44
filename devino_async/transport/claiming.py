"""Claiming: a claim in the journal before the first byte of a send, and its release if nothing was sent after all.

This is the last step before the pool. A send that waits for the pace, a hold or the breaker is not claimed yet, so a
kill during that wait leaves nothing in doubt. The journal decides what a claim writes, and where.
"""

from ..errors import CallFailed
from ..exchange import Answer, Call, Transport

__all__ = ["Claiming"]


class Claiming:
    """Lets a send with a claim begin only once the claim is recorded. Calls without a claim pass through."""

    def __init__(self, pool: Transport) -> None:
        self._pool = pool

    async def exchange(self, call: Call) -> Answer:
        """Make one attempt. Raises JournalError, before anything is sent, if the claim cannot be taken."""
        claim = call.claim
        if claim is None:
            return await self._pool.exchange(call)
        await claim.take()
        try:
            return await self._pool.exchange(call)
        except CallFailed as error:
            # An attempt that may be repeated can wait for minutes from here on. A kill meanwhile must leave no doubt.
            if not error.proves_unsent:
                claim.doubt()
            elif error.retriable:
                await claim.release()
            raise
