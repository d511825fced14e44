"""Replaying: receipts of a campaign from the results that the journal keeps of its parts.

How results are packed is in results.py. What may be replayed at all is decided in campaign.py.
"""

from collections.abc import Sequence

from ..errors import JournalFailed, OutcomeUnknown
from ..flow.steps import Turns, in_steps
from ..protocol import sending
from ..protocol.message import Message
from ..protocol.receipt_runs import Receipts
from .results import Results
from .states import Record

__all__ = ["UNREADABLE", "Replays", "damaged_results"]

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
"""What is raised if the stored results are not what was packed."""
_MAX_RESULTS = 4


def damaged_results(name: str) -> JournalFailed:
    """Return the error for a campaign whose results cannot be read."""
    return JournalFailed(
        f"the journal's results of campaign {name!r} are damaged. Restore the file from a copy, and reconcile before "
        "anything is sent"
    )


class Replays:
    """The recorded receipts of one run. Results that were read stay for a while, as neighbours are in one part."""

    def __init__(self, name: str, turns: Turns) -> None:
        self._name = name
        self._turns = turns
        self._results: dict[str, Results] = {}

    async def add(
        self, record: Record, offset: int, messages: Sequence[Message], into: Receipts
    ) -> JournalFailed | None:
        """Add recorded receipts. If the record is damaged, its messages become Unconfirmed. Return the damage."""
        results = self._results.pop(record.token, None)
        try:
            results = results or Results(record.marks, record.results)
        except UNREADABLE:
            error = damaged_results(self._name)
            into.failed(messages, OutcomeUnknown(str(error), operation=sending.ENDPOINT.operation))
            return error
        # The newest one comes last.
        self._results[record.token] = results
        await in_steps(results.replay(offset, messages, into), self._turns)
        return None

    def forget_old(self) -> None:
        """Keep only the results that were read last. Call this after a group, within which parts may alternate."""
        while len(self._results) > _MAX_RESULTS:
            del self._results[next(iter(self._results))]
