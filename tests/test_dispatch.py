"""Dispatch against a scripted transport: what nobody foresaw costs no receipt."""

import pytest

from devino_async import Accepted, ConfigurationError, Message, OutcomeUnknown, Unconfirmed
from devino_async.dispatch import Dispatch, SendOptions
from devino_async.events import Events
from devino_async.exchange import Answer, Call
from devino_async.flow.ownership import Owner
from devino_async.transport.limits import Limits

MESSAGES = [Message(sender="MyCompany", to=f"7900000000{number}", text="x") for number in range(6)]


class Script:
    """Answers well, but for its second call."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.calls = 0

    async def exchange(self, call: Call) -> Answer:
        self.calls += 1
        if self.calls == 2:
            raise self.failure
        items = ",".join('{"code":"OK","messageId":"1"}' for _ in range(call.messages))
        return Answer(status=200, body=f'{{"result":[{items}]}}'.encode())


def dispatch(failure: Exception) -> Dispatch:
    return Dispatch(Script(failure), Owner(), Limits(), Events(), None)


async def test_an_unforeseen_exception() -> None:
    """An exception that nobody foresaw makes its own batch Unconfirmed, and the others keep their receipts."""
    stream = dispatch(ZeroDivisionError("79000000001")).stream(MESSAGES, 2, SendOptions())
    receipts = [receipt async for receipt in stream]
    assert [type(receipt) for receipt in receipts] == [Accepted] * 2 + [Unconfirmed] * 2 + [Accepted] * 2
    [first, *_] = [receipt for receipt in receipts if isinstance(receipt, Unconfirmed)]
    assert isinstance(first.error, OutcomeUnknown)
    assert "ZeroDivisionError" in str(first.error)
    assert "79000000001" not in str(first.error)
    assert first.error.__context__ is None


async def test_misuse_is_raised() -> None:
    """Misuse, such as a client on another event loop, is raised rather than told by receipts."""
    stream = dispatch(ConfigurationError("another loop")).stream(MESSAGES, 2, SendOptions())
    with pytest.raises(ConfigurationError):
        [receipt async for receipt in stream]
