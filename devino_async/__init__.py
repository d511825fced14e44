"""Asyncio SDK for the Devino Telecom SMS API. The front door: everything public is imported from here."""

from .client import CloseReport, DetailPaginator, DevinoClient
from .errors import (
    BadAnswer,
    CallFailed,
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
    NotDelivered,
    OutcomeUnknown,
    Reason,
    Refused,
    ServerFailed,
    TooManyRequests,
    Unauthorized,
)
from .events import AttemptStarted, BatchFinished, BatchUnconfirmed, Event, RetryScheduled
from .protocol.account import Account, AccountType
from .protocol.callbacks import IncomingMessage, StatusCallback, parse_callbacks, parse_incoming
from .protocol.detail_rows import DetailField, DetailRow, DetailStatus, Traffic
from .protocol.details import DetailPage, DetailQuery, Order
from .protocol.message import Message, Priority
from .protocol.receipts import Accepted, NotSent, Receipt, Rejected, SendReport, Unconfirmed
from .protocol.statistics import DateCount, GroupBy, Statistics, StatisticsStatus
from .protocol.statuses import MessageStatus, Status
from .transport.limits import Limits
from .transport.pool import PoolOptions, Timeouts
from .transport.retry import RetryPolicy

__all__ = [
    "Accepted",
    "Account",
    "AccountType",
    "AttemptStarted",
    "BadAnswer",
    "BatchFinished",
    "BatchUnconfirmed",
    "CallFailed",
    "ClientClosed",
    "CloseReport",
    "ConfigurationError",
    "DateCount",
    "DeadlineExceeded",
    "DetailField",
    "DetailPage",
    "DetailPaginator",
    "DetailQuery",
    "DetailRow",
    "DetailStatus",
    "DevinoClient",
    "DevinoError",
    "Event",
    "Forbidden",
    "GroupBy",
    "IncomingMessage",
    "InvalidCallback",
    "InvalidMessage",
    "InvalidQuery",
    "Limits",
    "Message",
    "MessageNotSent",
    "MessageRejected",
    "MessageStatus",
    "MessageUnconfirmed",
    "NotDelivered",
    "NotSent",
    "Order",
    "OutcomeUnknown",
    "PoolOptions",
    "Priority",
    "Reason",
    "Receipt",
    "Refused",
    "Rejected",
    "RetryPolicy",
    "RetryScheduled",
    "SendReport",
    "ServerFailed",
    "Statistics",
    "StatisticsStatus",
    "Status",
    "StatusCallback",
    "Timeouts",
    "TooManyRequests",
    "Traffic",
    "Unauthorized",
    "Unconfirmed",
    "parse_callbacks",
    "parse_incoming",
]
