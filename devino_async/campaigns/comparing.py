"""Comparing: which campaign of a journal a file of messages belongs to, and how the two differ.

Nothing is sent or written here. `devino send` compares before it sends, and asks a person if what was sent is no longer
in the file.
"""

from collections.abc import AsyncIterable, Collection, Sequence
from datetime import datetime

from attrs import frozen

from ..flow.steps import in_steps
from ..protocol.message import Message
from .content import Content
from .fingerprints import SIZE, Fingerprints
from .journal import MAY_BE_SENT, CampaignState, Journal, Mark

__all__ = ["Comparison", "compare"]

_SENT = bytes((Mark.ACCEPTED, Mark.ASSUMED_SENT))
_IN_DOUBT = bytes((Mark.UNCONFIRMED, Mark.CLAIMED))
_MESSAGES_A_MATCH = 8_000


@frozen(kw_only=True)
class Comparison:
    """How the messages of a file differ from a campaign, which is called `name`.

    `campaign` is its state before, or None for a campaign that is to begin. Of the messages of the file, `unchanged`
    are in the journal, `unsent` of these were proved unsent and are sent again, and `new` are not in the journal.
    `missing_sent` and `missing_in_doubt` are in the journal and no longer in the file. Equal messages are counted.
    `free_name` is a name that no campaign has taken.
    """

    name: str
    free_name: str
    campaign: CampaignState | None = None
    unchanged: int = 0
    unsent: int = 0
    new: int = 0
    missing_sent: int = 0
    missing_in_doubt: int = 0

    @property
    def missing(self) -> int:
        """How many messages were or may have been sent, and are no longer in the file."""
        return self.missing_sent + self.missing_in_doubt

    @property
    def finished_at(self) -> datetime | None:
        """When the campaign finished, if the file is all the same and nothing of it is left to send."""
        state = self.campaign
        if state is None or self.new or self.unsent or self.missing:
            return None
        # Whether a run has read the input to its end does not matter: this file has no more than what is recorded.
        is_settled = state.messages == state.accepted + state.rejected + state.assumed_sent
        return state.changed_at if is_settled else None


async def compare(
    journal: Journal,
    messages: AsyncIterable[Sequence[Message]],
    *,
    name: str,
    address: str,
    path: str | None = None,
    rest: AsyncIterable[Sequence[Message]] | None = None,
) -> Comparison:
    """Compare messages with the campaign `name`, and with all that the same file was sent in before if `path` is given.

    Then the newest campaign that shares a message with the file is the one that goes on. If none does, the comparison
    is with a campaign that is to begin, and its name is one that is not taken. `rest` are messages that are in the file
    and not to be sent now. The messages are read only if there is a campaign to compare them with.
    """
    campaigns = await journal.campaigns()
    related = _related(campaigns, name, address, path)
    free_name = _free_name(campaigns, name, address)
    if related:
        fingerprints, others = await _fingerprints(journal, messages), await _fingerprints(journal, rest)
        for campaign in related:
            shared, comparison = await _compare(journal, campaign, free_name, fingerprints, others)
            if shared or path is None:
                return comparison
    return Comparison(name=name if path is None else free_name, free_name=free_name)


def _related(
    campaigns: Sequence[CampaignState], name: str, address: str, path: str | None
) -> Collection[CampaignState]:
    """Return the campaigns of this name or this path that have any messages, the newest first."""
    return [
        each
        for each in reversed(campaigns)
        if each.messages and each.address == address and (each.name == name or (path is not None and each.path == path))
    ]


def _free_name(campaigns: Sequence[CampaignState], name: str, address: str) -> str:
    # One that has no messages is the trace of a run that was ended before its first request.
    taken = {each.name for each in campaigns if each.messages or each.address != address}
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


async def _fingerprints(journal: Journal, runs: AsyncIterable[Sequence[Message]] | None) -> bytes:
    fingerprints = Fingerprints(await journal.secret())
    found = bytearray()
    if runs is not None:
        async for run in runs:
            found += await in_steps(fingerprints.of_all(run))
    return bytes(found)


async def _compare(
    journal: Journal, campaign: CampaignState, free_name: str, fingerprints: bytes, others: bytes
) -> tuple[int, Comparison]:
    """Return how many of all the messages are in the journal, and the comparison."""
    content = await Content.of(journal, campaign.name)
    unsent = content.missing(MAY_BE_SENT)
    unchanged = await _match(content, fingerprints)
    unsent -= content.missing(MAY_BE_SENT)
    shared = unchanged + await _match(content, others)
    return shared, Comparison(
        name=campaign.name,
        free_name=free_name,
        campaign=campaign,
        unchanged=unchanged,
        unsent=unsent,
        new=len(fingerprints) // SIZE - unchanged,
        missing_sent=content.missing(_SENT),
        missing_in_doubt=content.missing(_IN_DOUBT),
    )


async def _match(content: Content, fingerprints: bytes) -> int:
    """Return for how many of the fingerprints there is a recorded message."""
    count = 0
    for start in range(0, len(fingerprints), SIZE * _MESSAGES_A_MATCH):
        found = await in_steps(content.match_in_steps(fingerprints[start : start + SIZE * _MESSAGES_A_MATCH]))
        count += len(found) - found.count(-1)
    return count
