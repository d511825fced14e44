"""Asyncio SDK for the Devino Telecom SMS API. Import everything public from here.

Each name is loaded when it is first used, so a program loads only what it needs.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

# The only list of public names. Type checkers read these imports, and `as` marks a name as public. At run time they
# are skipped: _homes() finds them in the compiled code of this module.
if TYPE_CHECKING:
    from .client.client import DevinoClient as DevinoClient
    from .client.dispatch import CloseReport as CloseReport
    from .client.lookups import DetailPaginator as DetailPaginator
    from .client.outbox import OutboxOptions as OutboxOptions
    from .errors import BadAnswer as BadAnswer
    from .errors import CallFailed as CallFailed
    from .errors import ChangesMissed as ChangesMissed
    from .errors import ClientClosed as ClientClosed
    from .errors import ConfigurationError as ConfigurationError
    from .errors import DeadlineExceeded as DeadlineExceeded
    from .errors import DevinoError as DevinoError
    from .errors import Forbidden as Forbidden
    from .errors import InvalidCallback as InvalidCallback
    from .errors import InvalidMessage as InvalidMessage
    from .errors import InvalidQuery as InvalidQuery
    from .errors import MessageNotSent as MessageNotSent
    from .errors import MessageRejected as MessageRejected
    from .errors import MessageUnconfirmed as MessageUnconfirmed
    from .errors import OutboxFull as OutboxFull
    from .errors import OutcomeUnknown as OutcomeUnknown
    from .errors import Reason as Reason
    from .errors import Refused as Refused
    from .errors import RequestNotSent as RequestNotSent
    from .errors import SendingRefused as SendingRefused
    from .errors import ServerFailed as ServerFailed
    from .errors import TooManyRequests as TooManyRequests
    from .errors import Unauthorized as Unauthorized
    from .events import AttemptStarted as AttemptStarted
    from .events import BatchFinished as BatchFinished
    from .events import BatchUnconfirmed as BatchUnconfirmed
    from .events import ClientEvent as ClientEvent
    from .events import ItemsUnread as ItemsUnread
    from .events import LaneChanged as LaneChanged
    from .events import LaneHeld as LaneHeld
    from .events import RetryScheduled as RetryScheduled
    from .events import TotalDiffers as TotalDiffers
    from .events import WindowClosed as WindowClosed
    from .protocol.account import Account as Account
    from .protocol.account import AccountType as AccountType
    from .protocol.callbacks import IncomingMessage as IncomingMessage
    from .protocol.callbacks import StatusCallback as StatusCallback
    from .protocol.callbacks import parse_callbacks as parse_callbacks
    from .protocol.callbacks import parse_incoming as parse_incoming
    from .protocol.detail_rows import DetailField as DetailField
    from .protocol.detail_rows import DetailRow as DetailRow
    from .protocol.detail_rows import DetailStatus as DetailStatus
    from .protocol.detail_rows import Traffic as Traffic
    from .protocol.details import DetailPage as DetailPage
    from .protocol.details import DetailQuery as DetailQuery
    from .protocol.details import SortOrder as SortOrder
    from .protocol.message import Message as Message
    from .protocol.message import Priority as Priority
    from .protocol.receipts import Accepted as Accepted
    from .protocol.receipts import NotSent as NotSent
    from .protocol.receipts import Receipt as Receipt
    from .protocol.receipts import Rejected as Rejected
    from .protocol.receipts import SendReport as SendReport
    from .protocol.receipts import Unconfirmed as Unconfirmed
    from .protocol.statistics import DateCount as DateCount
    from .protocol.statistics import GroupBy as GroupBy
    from .protocol.statistics import Statistics as Statistics
    from .protocol.statistics import StatisticsStatus as StatisticsStatus
    from .protocol.statuses import MessageStatus as MessageStatus
    from .protocol.statuses import Status as Status
    from .protocol.template import Template as Template
    from .protocol.text import Alphabet as Alphabet
    from .protocol.text import Culprit as Culprit
    from .protocol.text import Segments as Segments
    from .protocol.text import segments as segments
    from .protocol.typography import Replacement as Replacement
    from .protocol.typography import Suggestion as Suggestion
    from .protocol.typography import suggest as suggest
    from .tracking.ladder import Delivery as Delivery
    from .tracking.ladder import DeliveryChange as DeliveryChange
    from .tracking.sqlite import SQLiteStore as SQLiteStore
    from .tracking.store import MemoryStore as MemoryStore
    from .tracking.tracker import DeliveryTracker as DeliveryTracker
    from .transport.limits import Limits as Limits
    from .transport.pool import PoolOptions as PoolOptions
    from .transport.pool import Timeouts as Timeouts
    from .transport.retry import RetryPolicy as RetryPolicy
    from .webhooks.receiver import CallbackReceiver as CallbackReceiver
    from .webhooks.tokens import new_token as new_token

_code = sys._getframe().f_code
_found: dict[str, str] = {}


def _homes() -> dict[str, str]:
    """Return the module that each public name comes from."""
    if not _found:
        # Importing dis takes a millisecond. attrs imports it in any case.
        import dis  # noqa: PLC0415

        found: dict[str, str] = {}
        home, steps = "", [*dis.get_instructions(_code)]
        for place, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                # Two steps before is the number of dots. pytest adds imports of its own where it rewrites assertions.
                home = f".{step.argval}" if steps[place - 2].argval == 1 else ""
            elif step.opname == "IMPORT_FROM" and home:
                found[step.argval] = home
        # One step, so that another thread never sees half of the names.
        _found.update(found)
    return _found


def __getattr__(name: str) -> object:
    if name == "__all__":
        return sorted(_homes())
    if name not in _homes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_homes()[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_homes()]
