"""Everything that can go wrong, as one family.

    DevinoError
    |-- ConfigurationError      credentials, address or options that cannot work
    |-- InvalidMessage          a message that breaks a rule of the API docs (also a ValueError)
    |-- InvalidQuery            ids, dates or filters that cannot be asked for (also a ValueError)
    |-- InvalidCallback         a body that is not a callback (also a ValueError)
    |-- SendingRefused          the service rejects whole batches, because of the account
    |-- ClientClosed            the client no longer accepts work
    |-- OutboxFull              more single sends wait than OutboxOptions allows
    |-- ChangesMissed           a reader of DeliveryTracker.changes() was too slow
    |-- MessageRejected, MessageNotSent, MessageUnconfirmed      raised by raise_for_outcome() of a receipt
    |-- JournalError            the journal of a campaign or a key refuses
    |   |-- CampaignChanged     the input is not the one that was recorded
    |   |-- CampaignBusy, CampaignPaused, CampaignCancelled, CampaignForgotten
    |   |-- KeyConflict         the key belongs to another message
    |   `-- JournalFailed       the journal cannot be read or written
    `-- CallFailed              one HTTP call failed
        |-- RequestNotSent      it is proved that the service never processed the call
        |-- Refused             a real 4xx answer, or a refusal in the answer's envelope
        |   |-- Unauthorized    401
        |   |-- Forbidden       403
        |   `-- TooManyRequests 429
        |-- OutcomeUnknown      may have been processed, or may not
        |-- ServerFailed        5xx
        |-- BadAnswer           unreadable, or its counts differ from what was asked
        `-- DeadlineExceeded    gave up, and it is proved that no attempt was processed

The SDK decides by attributes of the classes, such as `retriable`, `permanent` and `proves_unsent`. No error text holds
a credential, a message text or a full phone number.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from .redaction import mask_phones

__all__ = [
    "BadAnswer",
    "CallFailed",
    "CampaignBusy",
    "CampaignCancelled",
    "CampaignChanged",
    "CampaignForgotten",
    "CampaignPaused",
    "ChangesMissed",
    "ClientClosed",
    "ConfigurationError",
    "DeadlineExceeded",
    "DevinoError",
    "Forbidden",
    "InvalidCallback",
    "InvalidMessage",
    "InvalidQuery",
    "JournalError",
    "JournalFailed",
    "KeyConflict",
    "MessageNotSent",
    "MessageRejected",
    "MessageUnconfirmed",
    "OutboxFull",
    "OutcomeUnknown",
    "Reason",
    "Refused",
    "RequestNotSent",
    "SendingRefused",
    "ServerFailed",
    "TooManyRequests",
    "Unauthorized",
    "refusal",
]

_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{0,80}")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a message or a call was refused, in the service's own words ("reasons" in the API docs).

    `key` is a name from an open set, such as `to.format.invalid`. `ref` names the field (`to` or `messages[i].to`).
    `default_message` may repeat the refused value, so str and repr leave it out.
    """

    key: str
    ref: str | None = None
    default_message: str | None = None

    def __str__(self) -> str:
        key, ref = (_as_name(each) for each in (self.key, self.ref or ""))
        return mask_phones(f"{ref}: {key}" if ref else key)

    def __repr__(self) -> str:
        shown = None if self.default_message is None else f"<{len(self.default_message)} characters>"
        return f"Reason({str(self)!r}, default_message={shown})"


def _as_name(text: str) -> str:
    # Names of errors and fields are shown. A sentence in their place may repeat what was sent, so it is withheld.
    return text if _NAME.fullmatch(text) else "<withheld>"


def _revive(cls: "type[DevinoError]", args: tuple[Any, ...], state: dict[str, Any]) -> "DevinoError":
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class DevinoError(Exception):
    """The root of every error that this package raises on purpose.

    An error from `send_all` carries `report`, the SendReport of the messages that were read before it.
    """

    report: Any = None

    def __reduce__(self) -> tuple[Callable[..., "DevinoError"], tuple[Any, ...]]:
        return _revive, (type(self), self.args, dict(self.__dict__))


class ConfigurationError(DevinoError):
    """Something is set up or used in a way that cannot work, such as wrong credentials, options or event loop."""


class ClientClosed(DevinoError):
    """The client was closed, or is closing, and accepts no more work."""


class SendingRefused(DevinoError):
    """The service rejected every message of a batch for one reason that lies with the account or the sender.

    `reasons` holds that reason, such as an empty balance. The stream ends here, because the service would reject the
    rest as well. `RetryPolicy(stop_when_all_rejected=False)` turns this off.
    """

    def __init__(self, reasons: tuple[Reason, ...]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(f"the service rejects all messages: {'; '.join(map(str, self.reasons))}")


class OutboxFull(DevinoError):
    """The outbox already holds as many messages as OutboxOptions allows. Nothing was sent."""


class ChangesMissed(DevinoError):
    """Changes of deliveries were dropped, because their reader fell behind. The stored deliveries are complete."""


def _told(problem: Reason) -> str:
    # A problem found by the SDK itself never holds the refused value, so it is shown in full.
    where = f"{problem.ref}: " if problem.ref else ""
    return f"{where}{problem.key} ({problem.default_message})"


class _Problems(DevinoError, ValueError):
    """Input that breaks rules. `problems` holds all of the problems, not only the first."""

    _subject: ClassVar[str]

    def __init__(self, problems: tuple[Reason, ...] | list[Reason]) -> None:
        self.problems: tuple[Reason, ...] = tuple(problems)
        super().__init__(f"invalid {self._subject}: " + "; ".join(map(_told, self.problems)))


class InvalidMessage(_Problems):
    """A message that breaks rules of the API docs. `problems` lists all of them with the service's own keys.

    `position` is the place of its row among the rows that a Template was filled with, counted from 0.
    """

    position: int | None = None
    _subject = "message"


class InvalidQuery(_Problems):
    """Ids, dates or filters that cannot be asked for. `problems` lists everything that is wrong."""

    _subject = "query"


class InvalidCallback(DevinoError, ValueError):
    """A body that is neither a status callback nor an incoming message."""


class _OutcomeError(DevinoError):
    """A receipt that is not Accepted, as an exception. `receipt` is that receipt."""

    def __init__(self, message: str, *, receipt: Any) -> None:
        super().__init__(message)
        self.receipt = receipt


class MessageRejected(_OutcomeError):
    """The service said no to this message."""


class MessageNotSent(_OutcomeError):
    """It is proved that the service never processed the message. Sending it again is safe."""


class MessageUnconfirmed(_OutcomeError):
    """The message may have been sent. Sending it again may send it twice."""


class JournalError(DevinoError):
    """The journal refused something, or failed. What it refused was not sent."""


class CampaignChanged(JournalError):
    """The input differs from what the journal holds. Nothing at or behind the first difference was sent.

    `position` is its place, from 0. `reason` is "message" (another one stands there), "shorter" (the input ended
    there), or "address" (the campaign belongs to another service).
    """

    def __init__(self, position: int, reason: str) -> None:
        self.position, self.reason = position, reason
        what = {
            "message": f"message {position}, counted from 0, is not the one that was recorded there",
            "shorter": f"the input ended after {position} messages, and more were recorded",
            "address": "it was sent to another address",
        }[reason]
        how = "" if reason == "address" else "restore the input, use only_new=True, or "
        super().__init__(f"the campaign changed: {what}; {how}choose another campaign name")


class CampaignBusy(JournalError):
    """Another run of this campaign is under way, or still finishes what it has in flight. Wait until it has ended."""


class CampaignPaused(JournalError):
    """The campaign is paused. `unpause` lets it go on."""


class CampaignCancelled(JournalError):
    """The campaign was cancelled, which is final. What was not sent stays unsent."""


class CampaignForgotten(JournalError):
    """The campaign was forgotten, so it is not known who got its messages. Choose another name."""


class KeyConflict(JournalError):
    """The key was used for another message, or at another address. Choose another key."""


class JournalFailed(JournalError):
    """The journal cannot be opened, read or written. The text says why, and what to do."""


class CallFailed(DevinoError):
    """One call of the API failed.

    - `operation`: the name of the call
    - `attempts`: how many requests were made
    - `status`: the HTTP status of the last answer, or None
    - `body`: an excerpt of that answer, without anything secret or personal
    - `reasons`: why the service refused, in its own words
    - `message_ids`: ids that were found in an answer that could not be trusted
    - `earlier`: the errors of the attempts before the last one
    """

    retriable: bool = False
    permanent: bool = False
    proves_unsent: ClassVar[bool] = False

    def __init__(
        self,
        problem: str,
        *,
        operation: str,
        attempts: int = 1,
        status: int | None = None,
        body: str | None = None,
        reasons: tuple[Reason, ...] = (),
        message_ids: tuple[str, ...] = (),
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.operation = operation
        self.attempts = attempts
        self.status = status
        self.body = body
        self.reasons = reasons
        self.message_ids = message_ids
        self.earlier: tuple[CallFailed, ...] = ()

    def __str__(self) -> str:
        tried = "" if self.attempts == 1 else f" after {self.attempts} attempts"
        status = "" if self.status is None else f" (HTTP {self.status})"
        return f"{self.operation} failed{tried}{status}: {self.problem}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class RequestNotSent(CallFailed):
    """The service provably never processed the call: no connection, or an incomplete request. Repeating it is safe."""

    retriable = True
    proves_unsent = True


class Refused(CallFailed):
    """The service answered and refused the whole call. It processed nothing."""

    proves_unsent = True


class Unauthorized(Refused):
    """401: the credentials are missing or wrong."""


class Forbidden(Refused):
    """403: the credentials are known but may not do this. A key can be limited to some methods."""


class TooManyRequests(Refused):
    """429: too fast. `retry_after` is the wait in seconds that was asked for. A hold never lasts over an hour."""

    retriable = True
    retry_after: float | None = None


class OutcomeUnknown(CallFailed):
    """The request may have been processed, and no answer says whether. A send is never repeated after this."""


class ServerFailed(CallFailed):
    """5xx: the service, or something in front of it, failed after it had the request."""


class BadAnswer(CallFailed):
    """An answer that cannot be read, or that does not fit what was asked."""


class DeadlineExceeded(CallFailed):
    """The time for retries ran out. It is proved that no attempt before that was processed."""

    proves_unsent = True


_REFUSALS: dict[int, type[Refused]] = {401: Unauthorized, 403: Forbidden, 429: TooManyRequests}


def refusal(status: int | None) -> type[Refused]:
    """Return the class for a refusal with this HTTP status."""
    return Refused if status is None else _REFUSALS.get(status, Refused)
