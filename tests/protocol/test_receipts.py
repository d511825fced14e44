"""Receipts as values: frozen, made for match, quiet, and unchanged by pickling."""

import pickle
from itertools import chain, islice

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devino_async import (
    Accepted,
    BadAnswer,
    Message,
    MessageNotSent,
    MessageRejected,
    MessageUnconfirmed,
    NotSent,
    Reason,
    Receipt,
    Rejected,
    RequestNotSent,
    SendReport,
    Unconfirmed,
)
from devino_async.protocol.receipt_runs import Receipts

PHONE = "79001234567"
MESSAGE = Message(sender="devino", to=PHONE, text="код 4711", options={"ref": "o-77"})
RECEIPTS: list[Receipt] = [
    Accepted(MESSAGE, "5", ("5", "6")),
    Rejected(MESSAGE, (Reason("to.format.invalid", "to", f"Value: {PHONE}"),), f"blocked: {PHONE}"),
    NotSent(MESSAGE, RequestNotSent("no connection", operation="send")),
    Unconfirmed(MESSAGE, BadAnswer("unreadable", operation="send", message_ids=("5",))),
]


@pytest.mark.parametrize("receipt", RECEIPTS, ids=lambda receipt: type(receipt).__name__)
def test_quiet_frozen_and_picklable(receipt: Receipt) -> None:
    """No receipt shows the text, the full number or the options; none changes; each survives pickling."""
    revived = pickle.loads(pickle.dumps(receipt))
    for shown in (repr(receipt), str(receipt), repr(revived), repr([receipt]), repr(SendReport.of([receipt]))):
        assert not any(each in shown for each in (PHONE, "4711", "o-77"))
    assert revived.message == receipt.message
    assert repr(revived) == repr(receipt)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        receipt.message = MESSAGE  # type: ignore[misc]


@pytest.mark.parametrize("receipt", RECEIPTS, ids=lambda receipt: type(receipt).__name__)
def test_match(receipt: Receipt) -> None:
    """The four kinds are told apart by match, and no receipt is of two kinds."""
    match receipt:
        case Accepted(message=message, message_id=found):
            assert found == "5"
        case Rejected(message=message, reasons=(Reason(key=key),)):
            assert key == "to.format.invalid"
        case NotSent(message=message, error=error) | Unconfirmed(message=message, error=error):
            assert error.operation == "send"
    assert message == MESSAGE
    assert sum(isinstance(receipt, kind) for kind in (Accepted, Rejected, NotSent, Unconfirmed)) == 1


@pytest.mark.parametrize(
    ("receipt", "kind"), list(zip(RECEIPTS[1:], [MessageRejected, MessageNotSent, MessageUnconfirmed], strict=True))
)
def test_raise_for_outcome(receipt: Receipt, kind: type[Exception]) -> None:
    """Every receipt but Accepted raises its own error, which carries it; Accepted gives itself."""
    with pytest.raises(kind) as raised:
        receipt.raise_for_outcome()
    assert raised.value.receipt is receipt  # type: ignore[attr-defined]
    assert PHONE not in str(raised.value) + repr(raised.value)
    assert RECEIPTS[0].raise_for_outcome() is RECEIPTS[0]


def test_rejection_without_reason() -> None:
    """A rejection that gives no reason still raises with words."""
    with pytest.raises(MessageRejected, match="no reason"):
        Rejected(MESSAGE).raise_for_outcome()


@given(accepted=st.integers(0, 1_100), failed=st.integers(0, 1_100), taken=st.integers(0, 40))
def test_receipts_are_taken_a_few_at_a_time(accepted: int, failed: int, taken: int) -> None:
    """However many receipts a batch has, few are made at once, and what was not taken yet is still there, in order."""
    messages = [Message(sender="devino", to=PHONE, text=str(number)) for number in range(accepted + failed)]
    receipts = Receipts()
    receipts.accepted(messages[:accepted], [str(number) for number in range(accepted)])
    receipts.failed(messages[accepted:], RequestNotSent("no connection", operation="send"))
    assert len(receipts) == accepted + failed
    taking = receipts.take()
    some = [*islice(taking, taken)]
    assert all(0 < len(each) <= 64 for each in some)
    whole = [*chain.from_iterable(some), *receipts]
    assert [each.message for each in whole] == messages
    assert [each.message_id for each in whole if isinstance(each, Accepted)] == [str(n) for n in range(accepted)]
