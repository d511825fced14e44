"""Account: GET /billing-api/companies/current/account. The SMS API docs lack it, but every campaign script needs it."""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Any

from attrs import evolve, field, frozen

from ..exchange import Answer, Call
from .wire.converter import Mismatch, as_list, as_object, as_text, keep_unknown, structure, wire_class
from .wire.endpoint import Endpoint
from .wire.envelope import result_of

__all__ = ["ENDPOINT", "Account", "AccountType", "call", "read"]

ENDPOINT = Endpoint(
    operation="account",
    method="GET",
    path="/billing-api/companies/current/account",
    max_answer_bytes=1_000_000,
)


class AccountType(StrEnum):
    """Whether the company pays before or after it uses the service."""

    PREPAID = "PREPAID"
    POSTPAID = "POSTPAID"


@frozen
class Account:
    """The company's account. Amounts are exact. Any field may be None, because older answers lack some fields.

    `currency_id` is the service's own, undocumented number for the currency. `extra` keeps unknown keys. If one of
    the `validPacketChannels` cannot be read, `extra` keeps that whole list too.
    """

    account_type: AccountType | str | None = None
    balance: Decimal | None = None
    credit: Decimal | None = None
    reserve: Decimal | None = None
    reserve_sms: Decimal | None = None
    reserve_viber: Decimal | None = None
    disable_threshold: Decimal | None = None
    notify_threshold: Decimal | None = None
    add_percent: Decimal | None = None
    company_id: int | None = None
    currency_id: int | None = None
    is_blocked: bool | None = None
    recalc_bill_rate: bool | None = None
    valid_packet_channels: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(factory=dict, hash=False)


wire_class(Account)


def call() -> Call:
    """Return the call that looks up the account of the credentials."""
    return ENDPOINT.call()


def read(answer: Answer) -> Account:
    """Return the account. Raises BadAnswer or Refused."""
    return result_of(answer, ENDPOINT.operation, _account)


def _account(result: Any) -> Account:
    result = as_object(result)
    account = structure(result.get("account"), Account)
    listed = as_list(result.get("validPacketChannels"))
    channels = tuple(as_text(each) for each in listed if _is_text(each))
    known = {"account", "validPacketChannels"} if len(channels) == len(listed) else {"account"}
    beside = keep_unknown(result, frozenset(known))
    return evolve(account, valid_packet_channels=channels, extra={**account.extra, **beside})


def _is_text(value: Any) -> bool:
    try:
        as_text(value)
    except Mismatch:
        return False
    return True
