"""THE SEAM between what calls say and how they travel: Lane, Call, Answer, Transport.

A module of `protocol/` makes a Call and reads an Answer. Everything in `transport/` has the shape of Transport.
Nothing in this file knows about JSON, the service or credentials.
"""

import math
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Protocol

from attrs import field, frozen

from .errors import CallFailed, refusal
from .redaction import Redaction

__all__ = [
    "Admission",
    "AlreadyKnown",
    "Answer",
    "Call",
    "Claim",
    "Hours",
    "Lane",
    "OutOfHours",
    "TooManyForHalfOpen",
    "Transport",
]

_MEGABYTE = 1_000_000


class Lane(Enum):
    """A group of calls that share permits and connections. No lane waits for another."""

    LOOK_UPS = "look-ups"
    BULK = "bulk"
    URGENT = "urgent"
    PROBES = "probes"
    """The requests of the breaker that ask whether the service is back. They use fresh connections, as sends do."""


@frozen(kw_only=True)
class Answer:
    """One complete response. `attempts` counts the requests that it took. `redaction` says what may be shown."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = ""
    attempts: int = 1
    redaction: Redaction = field(factory=Redaction)

    @property
    def ok(self) -> bool:
        """True for a 2xx status."""
        return 200 <= self.status < 300

    def excerpt(self) -> str:
        """Return what may be shown of the body."""
        return self.redaction.excerpt(self.body)


def _nothing(_body: bytes) -> bool:
    return False


def _no_ids(_body: bytes) -> tuple[str, ...]:
    return ()


def _refused(answer: Answer, operation: str) -> CallFailed:
    return refusal(answer.status)(
        "the service refused the call",
        operation=operation,
        attempts=answer.attempts,
        status=answer.status,
        body=answer.excerpt(),
    )


class Admission(Protocol):
    """Says when an attempt of a send may begin, and is told how it ended (see transport/breaker.py)."""

    @property
    def patient(self) -> bool:
        """True if attempts are not limited, and only continuous trouble ends the batch."""
        ...

    async def admit(self, call: "Call", /) -> None:
        """Return when an attempt may begin. Raises TooManyForHalfOpen and OutOfHours."""
        ...

    def may_begin_for(self) -> float:
        """Return for how many seconds from now the attempt may begin, 0 if it may not."""
        ...

    def attempt_failed(self, error: CallFailed, /) -> None:
        """Note how an attempt failed."""
        ...

    def give_back(self) -> None:
        """Let another batch begin in place of this one."""
        ...


class TooManyForHalfOpen(Exception):
    """The lane is half open and the batch is too large: send its first messages with the same ticket.

    `attempt` is the number of the next attempt. `counted` is how many earlier ones count against RetryPolicy.attempts.
    After `give_up_at` none may begin. Each part of the batch continues from these values, so that cutting the batch
    gives no message more attempts or time.
    """

    attempt: int = 1
    counted: int = 0
    give_up_at: float = math.inf


class OutOfHours(Exception):
    """The schedule of the stream lets nothing begin now. No attempt is under way: wait for its hours and begin anew."""


class Hours(Protocol):
    """When the batches of one stream may begin (see client/hours.py)."""

    def open_for(self) -> float:
        """Return for how many seconds from now a batch may begin, 0 if it may not."""
        ...

    async def until_open(self) -> str | None:
        """Wait until a batch may begin, and return None. If no batch may ever begin, return why at once."""
        ...


class AlreadyKnown(Exception):
    """Raised by a claim before anything is sent: these messages of the call need no send.

    `receipts` holds what is known of each, by its place among the messages of the call.
    """

    def __init__(self, receipts: Mapping[int, Any]) -> None:
        super().__init__()
        self.receipts = receipts


class Claim(Protocol):
    """The record of a send in a journal: made before its first byte leaves, so that no crash can forget the send."""

    async def take(self) -> None:
        """Record, durably, that the send begins. Does nothing if that is recorded already.

        Raises JournalError, or AlreadyKnown. Then nothing may be sent.
        """
        ...

    async def release(self) -> None:
        """Record that nothing was sent so far, as far as the journal can be written. Never raises."""
        ...

    def doubt(self) -> None:
        """Note that an attempt may have been processed. `release` does nothing after that."""
        ...


@frozen(kw_only=True)
class Call:
    """One request: what to say, and what the transport has to know about saying it.

    `query` is encoded already. `body` comes in slices, so that no single write blocks the event loop. `repeatable` is
    False where a repeat costs money. `urgent` sends never queue behind others. `messages` is how many SMS the call
    carries, and `segments` how many parts they have, counted only if a rate limits those. `answer_limit` bounds the
    decoded answer in bytes.

    Through three functions the transport asks the protocol about a body. `carries_result` says whether the body of a
    refusal reports on single messages, so that it must be read. `ids_in` finds ids in a body that cannot be trusted.
    `refusal` makes the error for a call that was refused as a whole, from the answer and the operation's name.

    `admission` is what a send needs to begin, and is None for look-ups. `claim` records it in the journal, if there is
    one. The transport itself sets the last three fields: after `give_up_at` no attempt may begin, `attempt` counts from
    1, and `counted` is how many earlier attempts count against RetryPolicy.attempts.
    """

    operation: str
    method: str
    path: str
    query: str = field(default="", repr=False)
    body: tuple[bytes, ...] | None = field(default=None, repr=False)
    repeatable: bool = True
    urgent: bool = False
    probe: bool = False
    admission: Admission | None = field(default=None, eq=False)
    claim: Claim | None = field(default=None, eq=False)
    messages: int = 0
    segments: int = 0
    answer_limit: int = 64 * _MEGABYTE
    carries_result: Callable[[bytes], bool] = field(default=_nothing, repr=False)
    ids_in: Callable[[bytes], tuple[str, ...]] = field(default=_no_ids, repr=False)
    refusal: Callable[[Answer, str], CallFailed] = field(default=_refused, repr=False)
    give_up_at: float = math.inf
    attempt: int = 1
    counted: int = 0

    @property
    def size(self) -> int:
        """The size of the body in bytes."""
        return 0 if self.body is None else sum(map(len, self.body))

    @property
    def lane(self) -> Lane:
        """The lane whose permits and connections it uses."""
        if self.repeatable:
            return Lane.PROBES if self.probe else Lane.LOOK_UPS
        return Lane.URGENT if self.urgent else Lane.BULK


class Transport(Protocol):
    """Anything that can carry a call: it returns the answer or raises a CallFailed."""

    async def exchange(self, call: Call, /) -> Answer:
        """Carry out the call, once or several times if that is safe."""
        ...
