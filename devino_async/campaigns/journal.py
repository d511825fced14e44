"""The journal: the records that outlive a process, the rules for their states, and the protocol of a store.

A campaign is kept in parts. A part holds the messages of one POST, with one mark for the state of each. Stores such as
sqlite.py keep parts and keys and decide nothing. campaign.py and keys.py match messages with them.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from attrs import field, frozen

from ..errors import Reason

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
    """What the journal knows about one message."""

    PLANNED = "planned"
    """Recorded, and proved not to have been sent so far."""
    IN_FLIGHT = "in_flight"
    """A running process is sending it."""
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
    """The message belongs to a later part now. In this part it no longer counts."""


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
"""The marks of messages that may be claimed. All others mean that the message was sent, or may have been."""
_IN_DOUBT_OR_UNSENT = bytes((Mark.PLANNED, Mark.CLAIMED, Mark.NOT_SENT, Mark.UNCONFIRMED))


@frozen(kw_only=True, eq=False)
class Part:
    """Messages that travel in one POST. `token` is its permanent name, made before anything is written.

    `positions` are the places of its messages in the campaign, in any order. `fingerprints` holds 8 bytes for each.
    `slices` holds their JSON, several messages to a slice, joined by commas. The JSON is kept while any of the messages
    is in doubt or unsent.
    """

    token: str
    positions: Sequence[int]
    fingerprints: bytes = field(repr=False)
    slices: Sequence[bytes] = field(repr=False)


@frozen(kw_only=True, eq=False)
class Record:
    """What a store knows about a part: a mark for each message, and the results that `pack` in results.py made.

    Results stay unchanged until `settle` replaces them. They belong, in order, to the messages that are accepted,
    rejected, unconfirmed or assumed sent. So if one of these ever gets another mark, its result must change with it.
    """

    token: str
    positions: Sequence[int]
    fingerprints: bytes = field(repr=False)
    marks: bytes = field(repr=False)
    results: bytes = field(default=b"", repr=False)


@frozen(kw_only=True)
class Run:
    """The current run of a campaign. A campaign has only one at a time.

    `secret` is the key of all fingerprints in the journal. `recorded` is one more than the campaign's highest position
    in the journal, or 0 for a new campaign.
    """

    campaign: int
    name: str
    token: str
    secret: bytes = field(repr=False)
    recorded: int = 0


@frozen(kw_only=True)
class KeyedSend:
    """A message to be sent under a key. `body` is its JSON, which is kept while the message is in doubt."""

    key: str
    fingerprint: bytes = field(repr=False)
    body: bytes = field(repr=False)


@frozen(kw_only=True)
class KeyRecord:
    """What a store knows about a key. `results` has the form that a part with one message has.

    `claimed_until` is a time in seconds since the epoch. By then, the attempt of another process has certainly ended.
    """

    key: str
    fingerprint: bytes = field(repr=False)
    address: str
    state: State
    results: bytes = field(default=b"", repr=False)
    claimed_until: float = 0.0


@frozen(kw_only=True)
class CampaignState:
    """The counts and the state of a campaign. `messages` is how many the journal knows. The other counts add up to it.

    Messages `in_flight` are being sent by a running process. Those that are `planned` are recorded and proved unsent so
    far. `complete` says whether any run has read the input to its end. `path` is the file that the input was read from,
    and `output` the file for the results, if a run recorded them.
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
    """What became of one message. It is identified by its `position` in a campaign, or by its `key`.

    The service assigned `message_id` and `segment_ids`. `reasons` are those of a rejection, with phone numbers masked.
    """

    position: int | None = None
    key: str | None = None
    state: State
    message_id: str | None = None
    segment_ids: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


def settled(before: bytes, now: bytes) -> bytes:
    """Return the marks of a part after an answer: only messages that were claimed or in doubt take a new mark.

    A late answer also settles messages that a person set back to planned, if no run has claimed them since. It changes
    nothing for messages that moved to another part, and it never takes back an acceptance.
    """
    open_marks = bytes((Mark.CLAIMED, Mark.UNCONFIRMED, Mark.PLANNED))
    if len(before) == len(now) and not before.translate(None, open_marks):
        # The usual case, without a Python loop over the messages.
        return now
    return bytes(new if old in open_marks else old for old, new in zip(before, now, strict=True))


def needs_bodies(marks: bytes) -> bool:
    """Return whether any of the texts must be kept, because its message is in doubt or unsent."""
    return any(mark in marks for mark in _IN_DOUBT_OR_UNSENT)


class Journal(Protocol):
    """A durable store of campaigns and keyed sends, for many tasks and processes.

    When a method returns, what it wrote is on disk. If the store fails, a method raises JournalFailed, which says what
    to do next. After the store was closed, it raises ClientClosed.
    """

    # Runs of campaigns

    async def begin(self, name: str, address: str, *, path: str | None = None, output: str | None = None) -> Run:
        """Begin the only run of a campaign. If there is no campaign of this name, create it.

        `path` and `output` are recorded for the next run. None keeps what an earlier run recorded.
        Parts that a dead process had claimed become unconfirmed. Raises CampaignBusy, CampaignPaused,
        CampaignForgotten, and CampaignChanged(reason="address"). A run of a cancelled campaign may begin: it replays
        what is recorded, but its claims raise CampaignCancelled.
        """
        ...

    async def end(self, run: Run, *, complete: bool) -> None:
        """End a run. `complete` says that the input was read to its end, which is remembered for good."""
        ...

    async def records(self, name: str, start: int, stop: int) -> Sequence[Record]:
        """Return the parts with an unmoved message at `start` <= position < `stop`, sorted by first position."""
        ...

    async def recorded(self, name: str) -> int:
        """Return one more than the highest position of this campaign in the journal, or 0."""
        ...

    async def claim(self, run: Run, part: Part) -> None:
        """Record that a part is being sent. If it was released before, claim it again.

        In the same transaction its messages move here from earlier parts. Raises JournalFailed if one of them may not
        be sent (see MAY_BE_SENT), and CampaignPaused or CampaignCancelled. If it raises, nothing is recorded.
        """
        ...

    async def release(self, run: Run, token: str) -> None:
        """Record that nothing of a claimed part was sent."""
        ...

    async def settle(self, run: Run, part: Part, marks: bytes, results: bytes) -> None:
        """Record what became of a part, by the rule of `settled`. A part that was never claimed is recorded too.

        The text of each message is deleted as soon as the message is neither in doubt nor unsent. If messages of the
        part have moved to another and this answer accepts them, they were sent twice. The answer is kept as evidence.
        """
        ...

    # Keys

    async def find_keys(self, keys: Sequence[str]) -> Mapping[str, KeyRecord]:
        """Return what is known about these keys. A key that a dead process had claimed is unconfirmed."""
        ...

    async def claim_keys(
        self, token: str, address: str, sends: Sequence[KeyedSend], until: float
    ) -> Mapping[str, KeyRecord]:
        """Record in one transaction that these are being sent, and return an empty mapping.

        If any of the keys has a record in another state than planned or not sent, claim none of them and return these
        records instead. Keys that the same token has claimed already may be claimed again.
        """
        ...

    async def release_keys(self, token: str) -> None:
        """Record that nothing was sent of what this token claimed."""
        ...

    async def settle_keys(self, token: str, outcomes: Mapping[str, tuple[State, bytes]]) -> None:
        """Record the state and the results of each of these keys that this token claimed."""
        ...

    async def secret(self) -> bytes:
        """Return the random key of this journal's fingerprints. It has 32 bytes."""
        ...

    # Looking

    async def campaigns(self) -> tuple[CampaignState, ...]:
        """Return all campaigns, the oldest first."""
        ...

    def outcomes(self, name: str) -> AsyncIterator[Outcome]:
        """Yield what became of each message of a campaign, sorted by position."""
        ...

    def keys(self, state: State | str | None = None) -> AsyncIterator[Outcome]:
        """Yield what became of each keyed send, sorted by key. `state` limits it to those in one state."""
        ...

    async def aclose(self) -> None:
        """Finish what was begun, and close the store."""
        ...
