"""Comparing: which campaign of a journal a file of messages belongs to, and how the two differ.

Nothing is sent or written here. `devino send` compares before it sends. If messages that were sent are no longer in the
file, a person must decide.
"""

from collections import Counter
from collections.abc import AsyncIterable, Sequence
from datetime import datetime

from attrs import field, frozen

from ..flow.steps import in_steps
from ..protocol.message import Message
from .content import Content
from .fingerprints import SIZE, Fingerprints
from .journal import Journal
from .states import MAY_BE_SENT, CampaignState, Mark

__all__ = ["Comparison", "Recorded", "compare"]

_SENT = bytes((Mark.ACCEPTED, Mark.ASSUMED_SENT))
_IN_DOUBT = bytes((Mark.UNCONFIRMED, Mark.CLAIMED))
_MESSAGES_A_MATCH = 8_000


class Recorded:
    """Messages with a final receipt in the journal that this run must not send."""

    def __init__(self, fingerprints: Fingerprints) -> None:
        self._fingerprints = fingerprints
        self._counts: Counter[bytes] = Counter()
        self._arrived: set[bytes] = set()

    def __repr__(self) -> str:
        return f"Recorded(<{self._counts.total()} messages>)"

    def add(self, fingerprint: bytes, mark: int) -> None:
        """Add a message with its mark in the journal, unless a run may still send it."""
        if mark in MAY_BE_SENT:
            return
        self._counts[fingerprint] += 1
        if mark != Mark.REJECTED:
            self._arrived.add(fingerprint)

    def may_have_arrived(self, message: Message) -> bool:
        """Return whether the message is one of them, and was not rejected."""
        return self._fingerprints.of(message) in self._arrived

    def take(self, message: Message) -> bool:
        """Return whether the message is one of them. Equal messages are counted: each can be taken once."""
        fingerprint = self._fingerprints.of(message)
        if not self._counts[fingerprint]:
            return False
        self._counts[fingerprint] -= 1
        return True


@frozen(kw_only=True)
class Comparison:
    """How the messages of a file differ from those of the campaign `name`.

    `campaign` is the campaign's state so far, or None if it has yet to begin. Of the messages in the file, `unchanged`
    are in the journal and `new` are not. `unsent` of the unchanged ones were proved unsent, and will be sent.
    `missing_sent` and `missing_in_doubt` are in the journal but no longer in the file. Equal messages are counted:
    two in the journal match two in the file. `free_name` is a name that no campaign has taken. If the file shares no
    message with any of its campaigns, `earlier` holds these campaigns, the newest first. `recorded` has the messages of
    `rest` that need no sending, because they have their final receipts. `going` has a byte for each message of the
    file, which is 1 if a run would send it now. It is empty if the messages were not compared, because all go out.
    """

    name: str
    free_name: str
    campaign: CampaignState | None = None
    earlier: Sequence[CampaignState] = ()
    unchanged: int = 0
    unsent: int = 0
    new: int = 0
    missing_sent: int = 0
    missing_in_doubt: int = 0
    recorded: Recorded | None = field(default=None, eq=False)
    going: bytes = field(default=b"", repr=False)

    @property
    def missing(self) -> int:
        """How many messages were or may have been sent, and are no longer in the file."""
        return self.missing_sent + self.missing_in_doubt

    @property
    def finished_at(self) -> datetime | None:
        """When the campaign finished, if the file has not changed and nothing in it is left to send."""
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
    """Compare messages with the campaign `name` or, if `path` is given, with all campaigns of this name or file.

    With `path`, the newest of them that shares a message with the file is the one to continue. If none does, the result
    is for a new campaign, under a name that is not taken. `rest` holds messages that are in the file but not to be sent
    now. The messages are read only if there is a campaign to compare them with.
    """
    campaigns = await journal.campaigns()
    related = _related(campaigns, name, address, path)
    free_name = _free_name(campaigns, name, address)
    new = 0
    if related:
        fingerprints, others = await _fingerprints(journal, messages), await _fingerprints(journal, rest)
        for campaign in related:
            shared, comparison = await _compare(journal, campaign, free_name, fingerprints, others)
            if shared or path is None:
                return comparison
        new = len(fingerprints) // SIZE
    return Comparison(name=name if path is None else free_name, free_name=free_name, earlier=related, new=new)


def _related(campaigns: Sequence[CampaignState], name: str, address: str, path: str | None) -> Sequence[CampaignState]:
    """Return the campaigns of this name or this path that have any messages, the newest first."""
    return [
        each
        for each in reversed(campaigns)
        if each.messages and each.address == address and (each.name == name or (path is not None and each.path == path))
    ]


def _free_name(campaigns: Sequence[CampaignState], name: str, address: str) -> str:
    # A campaign without messages is left over from a run that ended before its first request. Its name is free.
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
    """Return how many messages the file shares with the campaign, and the comparison."""
    content = await Content.of(journal, campaign.name)
    unsent = content.missing(MAY_BE_SENT)
    going = bytearray()
    unchanged = await _match(content, fingerprints, going=going)
    unsent -= content.missing(MAY_BE_SENT)
    recorded = Recorded(Fingerprints(await journal.secret()))
    shared = unchanged + await _match(content, others, recorded)
    return shared, Comparison(
        name=campaign.name,
        free_name=free_name,
        campaign=campaign,
        unchanged=unchanged,
        unsent=unsent,
        new=len(fingerprints) // SIZE - unchanged,
        missing_sent=content.missing(_SENT),
        missing_in_doubt=content.missing(_IN_DOUBT),
        recorded=recorded,
        going=bytes(len(going)) if campaign.cancelled else bytes(going),
    )


async def _match(
    content: Content, fingerprints: bytes, recorded: Recorded | None = None, *, going: bytearray | None = None
) -> int:
    """Return how many of the fingerprints match a recorded message. These are added to `recorded`.

    For each fingerprint, `going` is told whether its message goes out.
    """
    count = 0
    marks = content.marks
    for start in range(0, len(fingerprints), SIZE * _MESSAGES_A_MATCH):
        run = fingerprints[start : start + SIZE * _MESSAGES_A_MATCH]
        found = await in_steps(content.match_in_steps(run))
        count += len(found) - found.count(-1)
        if going is not None:
            going += bytes(at < 0 or marks[at] in MAY_BE_SENT for at in found)
        if recorded is not None:
            for number, at in enumerate(found):
                if at >= 0:
                    recorded.add(run[number * SIZE : (number + 1) * SIZE], marks[at])
    return count
