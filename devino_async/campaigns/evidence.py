"""Evidence: what reconciling needs of a journal. The store's part of it is sqlite_evidence.py.

What is in doubt, which rows of the service are known already, and how a row that was found is written down.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

__all__ = ["Evidence", "InDoubt", "Known"]


@frozen(kw_only=True, eq=False)
class InDoubt:
    """The messages of one POST that may have been sent. `lines` holds the JSON of each.

    `places` are where they stand among the `count` messages of the POST. Each has a position in `campaign`, or a key if
    that is None. Times are in seconds since the epoch. `claimed_until` is the time by which the attempt has
    certainly ended, if the journal knows it. `is_live` says that a process is sending them now, and `arrived` that the
    service accepted another message of the POST. `shortened` says that the service was asked to shorten links.
    """

    token: str
    campaign: str | None
    claimed_at: float
    claimed_until: float | None = None
    shortened: bool = False
    is_live: bool = False
    arrived: bool = False
    count: int
    places: Sequence[int]
    positions: Sequence[int] = ()
    keys: Sequence[str] = ()
    lines: Sequence[bytes] = field(repr=False)


@frozen
class Known:
    """A message that an answer accepted, in a POST of `count` messages that was claimed at this time."""

    message_id: str
    claimed_at: float
    count: int


class Evidence(Protocol):
    """What a journal knows, and learns, about messages in doubt."""

    def in_doubt(self, address: str, since: float = 0.0) -> AsyncIterator[InDoubt]:
        """Yield what is in doubt, or being sent, at this address, and was claimed at this time or later.

        Campaigns come first, then keyed sends.
        """
        ...

    async def near(self, address: str, moment: float) -> Sequence[Known]:
        """Return a few accepted messages of claims close to this time.

        Messages that reconciling found are not among them, nor are those of a POST with scheduled messages.
        """
        ...

    async def known(self, ids: Collection[str]) -> frozenset[str]:
        """Return which of these message ids the journal knows, from answers or from earlier reconciling."""
        ...

    async def settle(self, doubt: InDoubt, found: Mapping[int, str]) -> frozenset[int]:
        """Record the ids that were found, by place, and return the places that were still in doubt until now.

        An id that serves another message already is left out. The text of each settled message goes.
        """
        ...
