"""Asyncio SDK for the Devino Telecom SMS API. The front door: everything public is imported from here.

Each name is loaded when it is first asked for, so that a program pays only for what it uses.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client.client import CloseReport, DevinoClient
    from .client.lookups import DetailPaginator
    from .client.outbox import OutboxOptions
    from .errors import (
        BadAnswer,
        CallFailed,
        ChangesMissed,
        ClientClosed,
        ConfigurationError,
        DeadlineExceeded,
        DevinoError,
        Forbidden,
        InvalidCallback,
        InvalidMessage,
        InvalidQuery,
        MessageNotSent,
        MessageRejected,
        MessageUnconfirmed,
        OutboxFull,
        OutcomeUnknown,
        Reason,
        Refused,
        RequestNotSent,
        ServerFailed,
        TooManyRequests,
        Unauthorized,
    )
    from .events import AttemptStarted, BatchFinished, BatchUnconfirmed, ClientEvent, RetryScheduled
    from .protocol.account import Account, AccountType
    from .protocol.callbacks import IncomingMessage, StatusCallback, parse_callbacks, parse_incoming
    from .protocol.detail_rows import DetailField, DetailRow, DetailStatus, Traffic
    from .protocol.details import DetailPage, DetailQuery, SortOrder
    from .protocol.message import Message, Priority
    from .protocol.receipts import Accepted, NotSent, Receipt, Rejected, SendReport, Unconfirmed
    from .protocol.statistics import DateCount, GroupBy, Statistics, StatisticsStatus
    from .protocol.statuses import MessageStatus, Status
    from .tracking.ladder import Delivery, DeliveryChange
    from .tracking.sqlite import SQLiteStore
    from .tracking.store import MemoryStore
    from .tracking.tracker import DeliveryTracker
    from .transport.limits import Limits
    from .transport.pool import PoolOptions, Timeouts
    from .transport.retry import RetryPolicy
    from .webhooks.receiver import CallbackReceiver
    from .webhooks.tokens import new_token

__all__ = [
    "Accepted",
    "Account",
    "AccountType",
    "AttemptStarted",
    "BadAnswer",
    "BatchFinished",
    "BatchUnconfirmed",
    "CallFailed",
    "CallbackReceiver",
    "ChangesMissed",
    "ClientClosed",
    "ClientEvent",
    "CloseReport",
    "ConfigurationError",
    "DateCount",
    "DeadlineExceeded",
    "Delivery",
    "DeliveryChange",
    "DeliveryTracker",
    "DetailField",
    "DetailPage",
    "DetailPaginator",
    "DetailQuery",
    "DetailRow",
    "DetailStatus",
    "DevinoClient",
    "DevinoError",
    "Forbidden",
    "GroupBy",
    "IncomingMessage",
    "InvalidCallback",
    "InvalidMessage",
    "InvalidQuery",
    "Limits",
    "MemoryStore",
    "Message",
    "MessageNotSent",
    "MessageRejected",
    "MessageStatus",
    "MessageUnconfirmed",
    "NotSent",
    "OutboxFull",
    "OutboxOptions",
    "OutcomeUnknown",
    "PoolOptions",
    "Priority",
    "Reason",
    "Receipt",
    "Refused",
    "Rejected",
    "RequestNotSent",
    "RetryPolicy",
    "RetryScheduled",
    "SQLiteStore",
    "SendReport",
    "ServerFailed",
    "SortOrder",
    "Statistics",
    "StatisticsStatus",
    "Status",
    "StatusCallback",
    "Timeouts",
    "TooManyRequests",
    "Traffic",
    "Unauthorized",
    "Unconfirmed",
    "new_token",
    "parse_callbacks",
    "parse_incoming",
]

_HOMES = {
    ".client.client": (
        "CloseReport",
        "DevinoClient",
    ),
    ".errors": (
        "BadAnswer",
        "CallFailed",
        "ChangesMissed",
        "ClientClosed",
        "ConfigurationError",
        "DeadlineExceeded",
        "DevinoError",
        "Forbidden",
        "InvalidCallback",
        "InvalidMessage",
        "InvalidQuery",
        "MessageNotSent",
        "MessageRejected",
        "MessageUnconfirmed",
        "RequestNotSent",
        "OutboxFull",
        "OutcomeUnknown",
        "Reason",
        "Refused",
        "ServerFailed",
        "TooManyRequests",
        "Unauthorized",
    ),
    ".events": (
        "AttemptStarted",
        "BatchFinished",
        "BatchUnconfirmed",
        "ClientEvent",
        "RetryScheduled",
    ),
    ".client.lookups": ("DetailPaginator",),
    ".client.outbox": ("OutboxOptions",),
    ".protocol.account": (
        "Account",
        "AccountType",
    ),
    ".protocol.callbacks": (
        "IncomingMessage",
        "StatusCallback",
        "parse_callbacks",
        "parse_incoming",
    ),
    ".protocol.detail_rows": (
        "DetailField",
        "DetailRow",
        "DetailStatus",
        "Traffic",
    ),
    ".protocol.details": (
        "DetailPage",
        "DetailQuery",
        "SortOrder",
    ),
    ".protocol.message": (
        "Message",
        "Priority",
    ),
    ".protocol.receipts": (
        "Accepted",
        "NotSent",
        "Receipt",
        "Rejected",
        "SendReport",
        "Unconfirmed",
    ),
    ".protocol.statistics": (
        "DateCount",
        "GroupBy",
        "Statistics",
        "StatisticsStatus",
    ),
    ".protocol.statuses": (
        "MessageStatus",
        "Status",
    ),
    ".tracking.ladder": ("DeliveryChange", "Delivery"),
    ".tracking.sqlite": ("SQLiteStore",),
    ".tracking.store": ("MemoryStore",),
    ".tracking.tracker": ("DeliveryTracker",),
    ".transport.limits": ("Limits",),
    ".transport.pool": (
        "PoolOptions",
        "Timeouts",
    ),
    ".transport.retry": ("RetryPolicy",),
    ".webhooks.receiver": ("CallbackReceiver",),
    ".webhooks.tokens": ("new_token",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
