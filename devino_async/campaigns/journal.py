"""The journal: what outlives a process, its states as pure rules, and what a store of it must do.

A campaign is kept in parts. A part holds the messages of one POST, with one mark for the state of each. Stores such as
sqlite.py keep parts and keys and decide nothing. campaign.py and keys.py know which message is which.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from attrs import field, frozen

from ..errors import Reason
from .evidence import Evidence

__all__ = [
    "MARKS",
    "MAY_BE_SENT",
    "STATES",
    "CampaignState",
    "Journal",
    "KeyRecord",
    "KeyedSend",
    "Mark",
    "Outcome",
    "Part",
    "Record",
    "Run",
    "State",
    "settled",
]


class State(StrEnum):
    """What the journal knows of one message."""

    PLANNED = "planned"
    """Recorded, and proved not to have been sent so far."""
    IN_FLIGHT = "in_flight"
    """A process that lives is sending it."""
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    """A receipt said NotSent. The next run of the campaign sends it."""
    UNCONFIRMED = "unconfirmed"
    """It may have been sent. It is never sent again, unless a person says so."""
    ASSUMED_SENT = "assumed_sent"
    """It was unconfirmed, and a person decided that it counts as sent."""


class Mark:
    """One byte for the state of a message in a part."""

    PLANNED = ord("p")
    CLAIMED = ord("c")
    ACCEPTED = ord("a")
    REJECTED = ord("r")
    NOT_SENT = ord("n")
    UNCONFIRMED = ord("u")
    ASSUMED_SENT = ord("s")
    MOVED = ord("m")
    """A later part has this message now, and this mark counts for nothing."""


MARKS = {
    State.PLANNED: Mark.PLANNED,
    State.IN_FLIGHT: Mark.CLAIMED,
    State.ACCEPTED: Mark.ACCEPTED,
    State.REJECTED: Mark.REJECTED,
    State.NOT_SENT: Mark.NOT_SENT,
    State.UNCONFIRMED: Mark.UNCONFIRMED,
    State.ASSUMED_SENT: Mark.ASSUMED_SENT,
}
STATES = {mark: state for state, mark in MARKS.items()}

MAY_BE_SENT = bytes((Mark.PLANNED, Mark.NOT_SENT))
"""The marks from which a message may be claimed. All others mean that it was sent, or may have been."""
_IN_DOUBT_OR_UNSENT = bytes((Mark.PLANNED, Mark.CLAIMED, Mark.NOT_SENT, Mark.UNCONFIRMED))


@frozen(kw_only=True, eq=False)
class Part:
    """Messages that travel in one POST. `token` names it for ever, and is made before anything is written.

    `positions` are the places of its messages in the campaign, in any order. `fingerprints` holds 8 bytes for each.
    `slices` is their JSON, in runs that are joined by commas. It is kept while any of them is in doubt or unsent.
    `shortened` says that the service is asked to shorten links, so that texts change.
    """

    token: str
    positions: Sequence[int]
    fingerprints: bytes = field(repr=False)
    slices: Sequence[bytes] = field(repr=False)
    shortened: bool = False


@frozen(kw_only=True, eq=False)
class Record:
    """What a store knows of a part: a mark for each message, and its results as `pack` of results.py made them.

    Results are kept as they are until `settle` replaces them. They belong to the messages that are accepted, rejected,
    unconfirmed or assumed sent, in their order. So if one of these ever gets another mark, its results go with it.
    """

    token: str
    positions: Sequence[int]
    fingerprints: bytes = field(repr=False)
    marks: bytes = field(repr=False)
    results: bytes = field(default=b"", repr=False)


@frozen(kw_only=True)
class Run:
    """A run of a campaign, which no other may enter. `secret` keys the fingerprints of the whole journal.

    `recorded` is one more than the highest position in the journal, so 0 for a new campaign.
    """

    campaign: int
    name: str
    token: str
    secret: bytes = field(repr=False)
    recorded: int = 0


@frozen(kw_only=True)
class KeyedSend:
    """A message to be sent under a key. `body` is its JSON, which is kept while it is in doubt."""

    key: str
    fingerprint: bytes = field(repr=False)
    body: bytes = field(repr=False)


@frozen(kw_only=True)
class KeyRecord:
    """What a store knows of a key. `results` is that of a part with one message.

    `claimed_until` is the time, in seconds since the epoch, at which the attempt of another process has ended at last.
    """

    key: str
    fingerprint: bytes = field(repr=False)
    address: str
    state: State
    results: bytes = field(default=b"", repr=False)
    claimed_until: float = 0.0


@frozen(kw_only=True)
class CampaignState:
    """A campaign in figures. `messages` is how many the journal knows, and the states add up to it.

    `in_flight` are being sent by a process that lives. `planned` are recorded and proved unsent so far. `complete` says
    whether any run has read the input to its end. `path` is the file that it was read from, and `output` the file that
    its results are written to, if a run noted them.
    """

    name: str
    address: str
    messages: int = 0
    accepted: int = 0
    rejected: int = 0
    not_sent: int = 0
    unconfirmed: int = 0
    assumed_sent: int = 0
    in_flight: int = 0
    planned: int = 0
    paused: bool = False
    cancelled: bool = False
    started_at: datetime
    changed_at: datetime
    complete: bool = False
    path: str | None = None
    output: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the input was read to its end and every message is accepted, rejected or assumed sent."""
        return self.complete and self.messages == self.accepted + self.rejected + self.assumed_sent


@frozen(kw_only=True)
class Outcome:
    """What became of one message: by its `position` in a campaign, or by its `key`.

    `message_id` and `segment_ids` are those of the service. `reasons` are those of a rejection, with numbers masked.
    """

    position: int | None = None
    key: str | None = None
    state: State
    message_id: str | None = None
    segment_ids: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


def settled(before: bytes, now: bytes) -> bytes:
    """Return the marks of a part after an answer: only messages that were claimed or in doubt take a new mark.

    A late answer also settles what a person planned again and no run has claimed since. It changes nothing for
    messages that moved to another part, and it never takes back an acceptance.
    """
    open_marks = bytes((Mark.CLAIMED, Mark.UNCONFIRMED, Mark.PLANNED))
    if len(before) == len(now) and not before.translate(None, open_marks):
        # The usual case, without a step of Python for each message.
        return now
    return bytes(new if old in open_marks else old for old, new in zip(before, now, strict=True))


def needs_bodies(marks: bytes) -> bool:
    """Return whether the text of any message must be kept: for all that is in doubt or unsent."""
    return any(mark in marks for mark in _IN_DOUBT_OR_UNSENT)


class Journal(Protocol):
    """A durable store of campaigns and keyed sends, for many tasks and processes.

    What a method wrote is on disk when it returns. Each raises JournalFailed if the store cannot do it, with what to do
    next, and ClientClosed after it was closed.
    """

    @property
    def evidence(self) -> Evidence:
        """What reconciling needs of this journal."""
        ...

    # Runs of campaigns

    async def begin(self, name: str, address: str, *, path: str | None = None, output: str | None = None) -> Run:
        """Begin the one run of a campaign, and make it if there is none of this name.

        `path` and `output` are noted for the next run. None leaves what an earlier run noted.
        Parts that a dead process had claimed become unconfirmed. Raises CampaignBusy, CampaignPaused,
        CampaignForgotten, and CampaignChanged(reason="address"). A cancelled campaign may begin: it replays, and its
        claims raise CampaignCancelled.
        """
        ...

    async def end(self, run: Run, *, complete: bool) -> None:
        """End a run. `complete` says that the input was read to its end, which is remembered for good."""
        ...

    async def records(self, name: str, start: int, stop: int) -> Sequence[Record]:
        """Return all parts with a message at `start` <= position < `stop` that has not moved, by first position."""
        ...

    async def recorded(self, name: str) -> int:
        """Return one more than the highest position of this campaign in the journal, or 0."""
        ...

    async def claim(self, run: Run, part: Part) -> None:
        """Record that a part is being sent. A part of this token that was released is claimed again.

        In the same transaction its messages move here from earlier parts. Raises JournalFailed if one of them may not
        be sent (see MAY_BE_SENT), CampaignPaused and CampaignCancelled. Then nothing is recorded.
        """
        ...

    async def release(self, run: Run, token: str) -> None:
        """Record that nothing of a claimed part was sent."""
        ...

    async def settle(self, run: Run, part: Part, marks: bytes, results: bytes) -> None:
        """Record what became of a part, by `settled`. A part that was never claimed is recorded too.

        The text of each message goes as soon as it is neither in doubt nor unsent. If messages of the part have moved
        to another and this answer says that they were accepted, that is kept as evidence: they were sent twice.
        """
        ...

    # Keys

    async def find_keys(self, keys: Sequence[str]) -> Mapping[str, KeyRecord]:
        """Return what is known of these keys. A key that a dead process had claimed is unconfirmed."""
        ...

    async def claim_keys(
        self, token: str, address: str, sends: Sequence[KeyedSend], until: float, *, shortened: bool = False
    ) -> Mapping[str, KeyRecord]:
        """Record that these are being sent, in one transaction, and return nothing. `shortened` is as in Part.

        If any of the keys has a record that is not planned or not sent, or is another claim's, claim none of them and
        return these records instead. Claims of the same token are taken again.
        """
        ...

    async def release_keys(self, token: str) -> None:
        """Record that nothing was sent of what this token claimed."""
        ...

    async def settle_keys(self, token: str, outcomes: Mapping[str, tuple[State, bytes]]) -> None:
        """Record the state and the results of each of these keys that this token claimed."""
        ...

    async def secret(self) -> bytes:
        """Return the random key of this journal's fingerprints, of 32 bytes."""
        ...

    # Looking

    async def campaigns(self) -> tuple[CampaignState, ...]:
        """Return all campaigns, the oldest first."""
        ...

    def outcomes(self, name: str) -> AsyncIterator[Outcome]:
        """Yield what became of each message of a campaign, by position."""
        ...

    def keys(self, state: State | str | None = None) -> AsyncIterator[Outcome]:
        """Yield what became of each keyed send, by key, of all or of those in one state."""
        ...

    async def aclose(self) -> None:
        """Finish what was begun, and close the store."""
        ...
