"""The family of errors: its tree, its facts, and what it never shows."""

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devino_async import (
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
    Message,
    MessageNotSent,
    MessageRejected,
    MessageUnconfirmed,
    NotSent,
    OutcomeUnknown,
    Reason,
    Refused,
    Rejected,
    RequestNotSent,
    ServerFailed,
    TooManyRequests,
    Unauthorized,
    Unconfirmed,
    parse_callbacks,
)
from devino_async.errors import refusal
from devino_async.redaction import mask_phones

PHONE = "79001234567"
TEXT = "Ваш код 4711 никому"
CALLS = [
    RequestNotSent, Refused, Unauthorized, Forbidden, TooManyRequests, OutcomeUnknown, ServerFailed, BadAnswer,
    DeadlineExceeded, CallFailed,
]  # fmt: skip
MESSAGE = Message(sender="devino", to=PHONE, text=TEXT)


def failed(kind: type[CallFailed]) -> CallFailed:
    error = kind(
        "it failed",
        operation="send",
        attempts=3,
        status=418,
        body="short and stout",
        reasons=(Reason("to.format.invalid", "to", f"Value: {PHONE}"),),
        message_ids=("1", "2"),
    )
    error.earlier = (RequestNotSent("no connection", operation="send"),)
    return error


def raised_by(receipt: Rejected | NotSent | Unconfirmed) -> DevinoError:
    with pytest.raises(DevinoError) as raised:
        receipt.raise_for_outcome()
    return raised.value


def every_error() -> list[DevinoError]:
    problems = [Reason("to.format.invalid", "to", "must be E.164"), Reason("invalid", "text")]
    return [
        *map(failed, CALLS),
        ConfigurationError("no credentials"),
        ClientClosed("closed"),
        InvalidMessage(problems),
        InvalidQuery(problems),
        InvalidCallback("the body is no callback"),
        raised_by(Rejected(MESSAGE, (Reason("to.format.invalid", "to", f"Value: {PHONE}"),))),
        raised_by(Rejected(MESSAGE, (), f"number +7 (900) 123-45-67 or {PHONE}")),
        raised_by(NotSent(MESSAGE, failed(RequestNotSent))),
        raised_by(Unconfirmed(MESSAGE, failed(OutcomeUnknown))),
    ]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_one_root(error: DevinoError) -> None:
    """Every error derives from DevinoError and says something."""
    assert isinstance(error, DevinoError)
    assert str(error)
    assert type(error).__name__ in repr(error)


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_pickle_and_copy(error: DevinoError) -> None:
    """Errors survive pickling and copying whole, as multiprocessing and task queues need it."""
    for revived in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(revived) is type(error)
        assert (str(revived), repr(revived), revived.args) == (str(error), repr(error), error.args)
        assert revived.__dict__.keys() == error.__dict__.keys()
        for name in ("problems", "reasons", "message_ids", "operation", "attempts", "status", "body"):
            assert getattr(revived, name, None) == getattr(error, name, None)
        assert [str(each) for each in getattr(revived, "earlier", ())] == [
            str(each) for each in getattr(error, "earlier", ())
        ]


@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_nothing_personal_shows(error: DevinoError) -> None:
    """No error shows a full phone number or a message text, however it is written out."""
    for revived in (error, pickle.loads(pickle.dumps(error))):
        for shown in (str(revived), repr(revived), f"{revived}", repr(getattr(revived, "receipt", None))):
            assert PHONE not in shown
            assert "123-45-67" not in shown
            assert TEXT not in shown


def test_invalid_input_is_value_error() -> None:
    """InvalidMessage, InvalidQuery and InvalidCallback are ValueErrors; the first two list all problems."""
    problems = (Reason("a", "from"), Reason("b"))
    for kind in (InvalidMessage, InvalidQuery):
        error = kind(list(problems))
        assert isinstance(error, ValueError)
        assert error.problems == problems
        assert "from: a" in str(error)
    assert issubclass(InvalidCallback, ValueError)


def test_what_proves_unsent() -> None:
    """Only where the service proved that it processed nothing may a receipt be NotSent."""
    proving = {kind for kind in CALLS if kind.proves_unsent}
    assert proving == {RequestNotSent, Refused, Unauthorized, Forbidden, TooManyRequests, DeadlineExceeded}


def test_tree() -> None:
    """The tree in the docstring is the tree: refusals are Refused, 5xx is no refusal, all are CallFailed."""
    assert all(issubclass(kind, CallFailed) for kind in CALLS)
    refusals = {kind for kind in CALLS if issubclass(kind, Refused)}
    assert refusals == {Refused, Unauthorized, Forbidden, TooManyRequests}
    outcomes = (MessageRejected, MessageNotSent, MessageUnconfirmed)
    assert not any(issubclass(kind, CallFailed) for kind in outcomes)


def test_outcome_errors_carry_cause_and_receipt() -> None:
    """raise_for_outcome hands over the receipt, and the failed call as the cause."""
    error = failed(OutcomeUnknown)
    receipt = Unconfirmed(MESSAGE, error)
    raised = raised_by(receipt)
    assert isinstance(raised, MessageUnconfirmed)
    assert raised.receipt is receipt
    assert raised.__cause__ is error
    assert raised_by(NotSent(MESSAGE, error)).__cause__ is error


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (403, Forbidden), (429, TooManyRequests), (400, Refused), (404, Refused), (200, Refused),
     (None, Refused)],
)  # fmt: skip
def test_refusal_by_status(status: int | None, kind: type[Refused]) -> None:
    """401, 403 and 429 have classes of their own, every other refusal is Refused."""
    assert refusal(status) is kind


def test_text_of_a_failed_call() -> None:
    """A failed call says operation, attempts, status and problem."""
    shown = str(failed(Refused))
    for part in ("send", "3 attempts", "HTTP 418", "it failed"):
        assert part in shown
    assert str(RequestNotSent("no connection", operation="send")) == "send failed: no connection"


@pytest.mark.parametrize(
    "written",
    [PHONE, f"+{PHONE}", "+7 (900) 123-45-67", "7.900.123.45.67", "7 900 123 45 67", f"tel:{PHONE};"],
)
def test_mask_phones(written: str) -> None:
    """A phone number in any usual writing is cut to its last four digits."""
    masked = mask_phones(f"to {written} now")
    assert "***4567" in masked
    assert "900" not in masked
    assert masked.startswith("to ")
    assert masked.endswith(" now")


@settings(deadline=None)
@given(
    st.text("0123456789+ ()-.abc:", max_size=60)
    | st.lists(st.sampled_from(["1234567", "790", "0123", " ", "-", ") ", "+", "a", ": "]), max_size=12).map("".join)
)
def test_mask_leaves_no_long_number(text: str) -> None:
    """After masking, no run of seven digits or more is left, and masking again changes nothing."""
    masked = mask_phones(text)
    assert not any(len(run) >= 7 for run in "".join(c if c.isdigit() else " " for c in masked).split())
    assert mask_phones(masked) == masked


@settings(deadline=None)
@given(st.text(max_size=30), st.none() | st.text(max_size=30), st.none() | st.text(max_size=30))
def test_reason_round_trip(key: str, ref: str | None, said: str | None) -> None:
    """A Reason is a value: equal, hashable, unchanged by pickling."""
    reason = Reason(key, ref, said)
    revived = pickle.loads(pickle.dumps(reason))
    assert revived == reason
    assert hash(revived) == hash(reason)
    assert str(revived) == str(reason)


def test_nothing_foreign_in_the_context() -> None:
    """An error raised for a bad body drags no decoder's error along, which would hold the body."""
    with pytest.raises(InvalidCallback) as raised:
        parse_callbacks(f'{{"text": "{TEXT}", "to": {PHONE}'.encode())
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None


def test_echoed_text_of_a_rejected_message() -> None:
    """The page's own reason echoes the refused value ("Value: ..."); no error or repr shows a message text by it."""
    for receipt in (
        Rejected(MESSAGE, (Reason("text.length.too.long", "text", f"Error: Invalid field value. Value: {TEXT}"),)),
        Rejected(MESSAGE, (), f"bad text: {TEXT}"),
    ):
        error = raised_by(receipt)
        assert TEXT not in str(error)
        assert TEXT not in repr(error)
        assert TEXT not in repr(receipt)


def test_phone_in_key_or_ref() -> None:
    """Keys and refs come from the service as well: a phone number in them is masked like anywhere else."""
    for reason in (Reason("invalid", f"messages[0].to={PHONE}"), Reason(f"number.{PHONE}.blocked")):
        assert PHONE not in str(reason)
        assert PHONE not in repr(reason)
