"""Account: money exact, older answers with fewer fields, unknown keys kept."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import Account, AccountType, BadAnswer
from devino_async.exchange import Answer
from devino_async.protocol import account


def read(result: Any) -> Account:
    text = result if isinstance(result, str) else json.dumps({"result": result})
    return account.read(Answer(status=200, body=text.encode()))


def test_null_absent_extra() -> None:
    """Older answers lack fields: what is absent or null is None, what is unknown is kept."""
    nulls = dict.fromkeys(["balance", "isBlocked", "accountType", "companyId"])
    for result in ({"account": {}}, {"account": nulls}, {"account": {}, "validPacketChannels": None}):
        assert read(result) == Account()
    found = read({"account": {"new": None, "newer": [1]}, "beside": "x", "validPacketChannels": ["SMS", "NEW"]})
    assert found == Account(valid_packet_channels=("SMS", "NEW"), extra={"new": None, "newer": [1], "beside": "x"})


@pytest.mark.parametrize(
    ("written", "kind"), [("PREPAID", AccountType.PREPAID), ("POSTPAID", AccountType.POSTPAID), ("NEW", "NEW")]
)
def test_types(written: str, kind: str) -> None:
    """Both types of the API docs become members; a new one stays text."""
    assert type(read({"account": {"accountType": written}}).account_type) is type(kind)
    assert read({"account": {"accountType": written}}).account_type == kind


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=10))
def test_money_is_exact(amount: Decimal) -> None:
    """An amount is the number that was written, digit by digit, never a float's neighbour; as number or as text."""
    for written in (f"{amount:f}", f'"{amount:f}"'):
        found = read(f'{{"result":{{"account":{{"balance":{written},"reserveSms":{written}}}}}}}')
        assert f"{found.balance:f}" == f"{found.reserve_sms:f}" == f"{amount:f}"
        assert type(found.balance) is Decimal


@pytest.mark.parametrize(
    "result",
    [5, "x", [], {}, {"account": None}, {"account": []}, {"account": "x"}, {"account": {"balance": "much"}},
     {"account": {"balance": True}}, {"account": {"balance": "Infinity"}}, {"account": {"balance": [1]}},
     {"account": {"isBlocked": "No"}}, {"account": {"isBlocked": 0}}, {"account": {"companyId": 1.5}},
     {"account": {"companyId": True}}, {"account": {"accountType": []}}, {"account": {}, "validPacketChannels": 5}],
)  # fmt: skip
def test_results_that_break_the_page(result: Any) -> None:
    """ "No" is never True, a fraction never a whole number, a list never a text: BadAnswer, which names the place."""
    with pytest.raises(BadAnswer) as raised:
        read(result)
    assert raised.value.operation == "account"
    assert raised.value.__context__ is None


def test_odd_channels() -> None:
    """A channel that cannot be read costs neither the others nor the account, and is kept in `extra`."""
    found = read({"account": {"balance": 5}, "validPacketChannels": ["SMS", None, "EMAIL"]})
    assert (found.balance, found.valid_packet_channels) == (5, ("SMS", "EMAIL"))
    assert found.extra == {"validPacketChannels": ["SMS", None, "EMAIL"]}


def test_text_is_no_list() -> None:
    """A string is never a list of its characters."""
    with pytest.raises(BadAnswer):
        read({"account": {}, "validPacketChannels": "EMAIL"})


def test_double_keys() -> None:
    """An account with two balances has none that can be trusted."""
    with pytest.raises(BadAnswer):
        read('{"result":{"account":{"balance":1,"balance":2}}}')
