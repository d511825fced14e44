"""Messages that were to be sent in the past: found when they are first to be sent, and never sent."""

import copy
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dispatch_lab import NOON, dispatch_on

from devino_async import Accepted, DevinoClient, InvalidMessage, Message, Rejected
from devino_async.client.pieces import SendOptions
from devino_async.exchange import Answer, Call

OPTIONS = SendOptions.of(False, False)


class Service:
    """Accepts all, and remembers the bodies."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def exchange(self, call: Call) -> Answer:
        self.bodies.append(b"".join(call.body or ()))
        items = ",".join(f'{{"code":"OK","messageId":"{number}"}}' for number in range(1, call.messages + 1))
        return Answer(status=200, body=f'{{"result":[{items}]}}'.encode())


def message(number: int, minutes: float | None) -> Message:
    moment = None if minutes is None else NOON + timedelta(minutes=minutes)
    return Message(sender="MyCompany", to=f"7900000000{number}", text="x", scheduled_time=moment)


@pytest.mark.parametrize("batch_size", [1, 2, 10])
async def test_a_stream(batch_size: int) -> None:
    """In a stream a message of over a minute ago is Rejected in its place, without a request. The others are sent."""
    sent = [message(n, minutes) for n, minutes in enumerate([None, -1.1, 60, -600, -0.9, None])]
    service = Service()
    receipts = [each async for each in dispatch_on(service).stream(sent, batch_size, OPTIONS)]
    assert [each.message for each in receipts] == sent
    assert [type(each) for each in receipts] == [Accepted, Rejected, Accepted, Rejected, Accepted, Accepted]
    assert {reason.key for each in receipts if isinstance(each, Rejected) for reason in each.reasons} == {
        "scheduledTime.is.invalid"
    }
    assert not any(phone in body for body in service.bodies for phone in (b"79000000001", b"79000000003"))


async def test_nothing_but_the_past() -> None:
    """A batch of nothing else makes no request at all."""
    service = Service()
    receipts = [each async for each in dispatch_on(service).stream([message(1, -5)] * 3, 10, OPTIONS)]
    assert [type(each) for each in receipts] == [Rejected] * 3
    assert service.bodies == []


async def test_one_send(service: Any) -> None:
    """`send` raises InvalidMessage with the service's own key, and makes no request."""
    late = Message(
        sender="MyCompany", to="79000000001", text="x", scheduled_time=datetime.now(UTC) - timedelta(minutes=2)
    )
    async with DevinoClient("key", base_url=service.url) as devino:
        with pytest.raises(InvalidMessage) as caught:
            await devino.send(late)
    assert [problem.key for problem in caught.value.problems] == ["scheduledTime.is.invalid"]
    assert service.requests == []


def test_no_clock_is_asked_otherwise() -> None:
    """A message of the past can be made, copied and pickled: only sending it is refused."""
    old = message(1, -60 * 24 * 365)
    assert copy.copy(old) == pickle.loads(pickle.dumps(old)) == old
