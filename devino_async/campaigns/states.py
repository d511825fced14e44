"""States: what the journal knows of messages, parts, keys and campaigns, and which state may follow which.

Pure values and rules. A campaign is kept in parts. A part holds the messages of one POST, with one mark for the state
of each. What a store must do with them is in journal.py.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple

from attrs import field, frozen

from ..errors import ConfigurationError, JournalFailed, Reason

__all__ = [
    "MARKS",
    "MAY_BE_SENT",
    "STATES",
    "CampaignState",
    "ForgottenCampaign",
    "How",
    "KeyRecord",
    "KeyedSend",
    "Mark",
    "Outcome",
    "Part",
    "Pruned",
    "Record",
    "Resolved",
    "Run",
    "SentBefore",
    "State",
    "check_how",
    "needs_bodies",
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


class SentBefore(JournalFailed):
    """A claim was refused, because the journal now says that one of its messages was sent, or may have been."""


@frozen(kw_only=True, eq=False)
class Part:
    """Messages that travel in one POST. `token` is its permanent name, made before anything is written.

    `positions` are the places of its messages in the campaign, in any order. `fingerprints` holds 8 bytes for each.
    `slices` holds their JSON, several messages to a slice, joined by commas. The JSON is kept while any of the messages
    is in doubt or unsent. `shortened` says that the service is asked to shorten links, so that texts change.
    """

    token: str
    positions: Sequence[int]
    fingerprints: bytes = field(repr=False)
    slices: Sequence[bytes] = field(repr=False)
    shortened: bool = False


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
    in the journal, or 0 for a new campaign. Nothing of a
    campaign that is `cancelled` may be sent.
    """

    campaign: int
    name: str
    token: str
    secret: bytes = field(repr=False)
    recorded: int = 0
    cancelled: bool = False


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
    """The counts and the state of a campaign. `messages` is how many the journal knows. Counts by state add up to it.

    Messages `in_flight` are being sent by a running process. `planned` ones are recorded, and are proved unsent so
    far. `complete` says whether any run has read the input to its end. `path` is the file that the input was read from,
    and `outputs` are the files for the results, the last one first, if a run recorded them. A file that another
    campaign used since is not among them. `sent_twice` counts messages whose first request turned out to have arrived
    after they had been sent again. It is not among the counts that add up.
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
    outputs: tuple[str, ...] = ()
    sent_twice: int = 0

    @property
    def output(self) -> str | None:
        """The last file for the results."""
        return self.outputs[0] if self.outputs else None

    @property
    def finished(self) -> bool:
        """Whether the input was read to its end and every message is accepted, rejected or assumed sent."""
        return self.complete and self.messages == self.accepted + self.rejected + self.assumed_sent


@frozen(kw_only=True)
class ForgottenCampaign:
    """What stays of a campaign that was forgotten: how many messages it had, and when they were forgotten."""

    name: str
    address: str
    messages: int
    forgotten_at: datetime


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


class Resolved(NamedTuple):
    """How many messages a person's decision set, and how many it passed over because their batch had arrived."""

    set: int
    passed_over: int


How = Literal["resend", "assume_sent"]
"""What a person may decide about unconfirmed messages."""


def check_how(how: str) -> None:
    """Raise ConfigurationError for anything but "resend" and "assume_sent"."""
    if how not in {"resend", "assume_sent"}:
        raise ConfigurationError('how must be "resend" or "assume_sent"')


class Pruned(NamedTuple):
    """How many campaigns were forgotten, and how many keys were deleted."""

    campaigns: int
    keys: int


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
