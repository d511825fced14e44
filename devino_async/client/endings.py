"""Endings: what ends a stream after one of its batches, because every further batch would fail too."""

from collections.abc import Generator

from ..errors import (
    CallFailed,
    DeadlineExceeded,
    DevinoError,
    Forbidden,
    JournalError,
    OutcomeUnknown,
    SendingRefused,
    TooManyRequests,
    Unauthorized,
)
from ..protocol import send_results, sending
from ..protocol.receipt_runs import Receipts
from ..protocol.receipts import Rejected, Unconfirmed
from ..transport.breaker import Ticket

__all__ = ["fatal_error"]

# Fewer rejections than this may be an accident of the input.
_MIN_ALL_REJECTED = 100


def fatal_error(
    receipts: Receipts, failure: DevinoError | None, ticket: Ticket, *, stop_when_all_rejected: bool
) -> Generator[None, None, DevinoError | None]:
    """Return the error that ends a stream after this batch, or None. Single sends ignore it."""
    if isinstance(failure, Unauthorized | Forbidden | JournalError):
        return failure
    if not ticket.patient:
        return None
    permanent = isinstance(failure, CallFailed) and failure.permanent
    if permanent or isinstance(failure, DeadlineExceeded | TooManyRequests):
        return failure
    if ticket.struck_out and receipts.counts[Unconfirmed] == len(receipts):
        return _struck_out(failure)
    if stop_when_all_rejected and receipts.counts[Rejected] == len(receipts) >= _MIN_ALL_REJECTED:
        reasons = yield from send_results.account_reasons(receipts)
        return SendingRefused(reasons) if reasons else None
    return None


def _struck_out(failure: DevinoError | None) -> OutcomeUnknown:
    why = "three small batches in a row may or may not have been sent, although the service can be reached"
    error = OutcomeUnknown(why, operation=sending.ENDPOINT.operation)
    if isinstance(failure, CallFailed):
        error.status, error.body, error.earlier = failure.status, failure.body, (failure,)
    return error
