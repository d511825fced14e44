"""What becomes of your coroutines: their time, how many are in flight, their errors, senders that leave, closing."""

import asyncio
import gc
import json
import logging
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from devino_async import CallbackReceiver, new_token

TOKEN = new_token()
BODY = json.dumps([{"messageId": "1", "ts": 1613404835977, "status": "DELIVERED"}]).encode()
INCOMING = {"incomingMessageId": "1", "ts": "1587721283000", "from": "79101111111", "text": "very private"}


class Hook:
    """A coroutine that ends when it may and records what became of it. A stubborn one ignores cancellation."""

    def __init__(self, *, stubborn: bool = False, raising: Exception | None = None) -> None:
        self.begun, self.may_end, self.ended, self.cancelled = (asyncio.Event() for _ in range(4))
        self.stubborn = stubborn
        self.raising = raising
        self.calls = 0

    async def __call__(self, events: Any) -> None:
        self.calls += 1
        self.begun.set()
        while not self.may_end.is_set():
            try:
                await self.may_end.wait()
            except asyncio.CancelledError:
                self.cancelled.set()
                if not self.stubborn:
                    raise
        self.ended.set()
        if self.raising is not None:
            raise self.raising

    def receiver(self, **options: Any) -> CallbackReceiver:
        return CallbackReceiver(**{"token": TOKEN, "on_status": self, **options})


async def ask(receiver: CallbackReceiver, body: bytes = BODY) -> int:
    status, answer = await receiver.handle("POST", TOKEN, {}, body)
    assert answer == b""
    return status


async def left_by_its_sender(receiver: CallbackReceiver, hook: Hook) -> None:
    asking = asyncio.create_task(ask(receiver))
    await hook.begun.wait()
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()


async def test_a_cancelled_request(no_leaks: None) -> None:
    """A coroutine outlives the cancellation of its request. Closing waits for it."""
    hook = Hook()
    receiver = hook.receiver()
    await left_by_its_sender(receiver, hook)
    closing = asyncio.create_task(receiver.aclose())
    hook.may_end.set()
    await closing
    assert hook.ended.is_set()
    assert not hook.cancelled.is_set()


async def test_the_time_limit_after_a_cancelled_request(no_leaks: None) -> None:
    """hook_timeout holds for a coroutine whose request was cancelled too."""
    hook = Hook()
    await left_by_its_sender(hook.receiver(hook_timeout=0.02), hook)
    async with asyncio.timeout(30):
        await hook.cancelled.wait()


async def test_in_flight_after_a_cancelled_request(no_leaks: None) -> None:
    """Senders that leave early cannot have more coroutines in flight than concurrency allows."""
    hook = Hook()
    receiver = hook.receiver(concurrency=1)
    await left_by_its_sender(receiver, hook)
    asking = asyncio.create_task(ask(receiver))
    for _ in range(20):
        await asyncio.sleep(0)
    assert hook.calls == 1
    hook.may_end.set()
    assert await asking == 200
    assert hook.calls == 2


async def test_an_error_after_a_cancelled_request(caplog: pytest.LogCaptureFixture) -> None:
    """An error after the request was cancelled is logged by its class and place, without its text."""
    # Whatever earlier tests left behind is collected, and logged, before this one listens.
    gc.collect()
    caplog.clear()
    hook = Hook(raising=ValueError("79000000001 very private"))
    receiver = hook.receiver()
    with caplog.at_level(logging.DEBUG):
        await left_by_its_sender(receiver, hook)
        hook.may_end.set()
        await receiver.aclose()
        gc.collect()
    [said] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "ValueError" in said
    assert "test_hooks.py:" in said
    assert "79000000001" not in caplog.text
    assert "private" not in caplog.text


async def test_requests_wait_for_their_turn(no_leaks: None) -> None:
    """Beyond concurrency 1,000 requests wait, and all of them are served. Those beyond are answered 503 at once."""
    hook = Hook()
    receiver = hook.receiver(concurrency=1)
    first = asyncio.create_task(ask(receiver))
    await hook.begun.wait()
    others = [asyncio.create_task(ask(receiver)) for _ in range(1_003)]
    refused = set(others[1_000:])
    await asyncio.wait(refused)
    assert {each for each in others if each.done()} == refused
    assert {each.result() for each in refused} == {503}
    hook.may_end.set()
    assert {await each for each in (first, *others[:1_000])} == {200}
    assert receiver._waiting == 0
    assert hook.calls == 1_001


async def test_cancelled_while_waiting(no_leaks: None) -> None:
    """A request that is cancelled while it waits gives its turn to the next one."""
    hook = Hook()
    receiver = hook.receiver(concurrency=1)
    first = asyncio.create_task(ask(receiver))
    await hook.begun.wait()
    waiting = asyncio.create_task(ask(receiver))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    assert receiver._waiting == 0
    next_one = asyncio.create_task(ask(receiver))
    hook.may_end.set()
    assert [await first, await next_one] == [200, 200]
    assert hook.calls == 2


async def test_stubborn_coroutines(no_leaks: None) -> None:
    """One that ignores cancellation is answered 503 in time and stays in flight. A request behind it gets 503 too."""
    hook = Hook(stubborn=True)
    receiver = hook.receiver(hook_timeout=0.02, concurrency=1)
    assert await asyncio.gather(ask(receiver), ask(receiver)) == [503, 503]
    assert hook.calls == 1
    hook.may_end.set()
    assert await ask(receiver) == 200


async def test_one_that_returns_although_cancelled() -> None:
    """A coroutine that was cancelled and returns may have left work undone: 503, so that the sender repeats."""

    async def hides_it(events: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    assert await ask(CallbackReceiver(token=TOKEN, on_status=hides_it, hook_timeout=0.02)) == 503


async def test_time_limits_of_your_own() -> None:
    """A coroutine may use time limits of its own: one that it handles is 200, one that it raises is 500."""

    async def handles(events: Any) -> None:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            pass

    async def raises(events: Any) -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    assert await ask(CallbackReceiver(token=TOKEN, on_status=handles)) == 200
    assert await ask(CallbackReceiver(token=TOKEN, on_status=raises)) == 500


@pytest.mark.parametrize("stubborn", [False, True])
async def test_closing_has_an_end(stubborn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """aclose cancels what has not ended in time, does not wait for the stubborn, and their requests get 503."""
    from devino_async.webhooks import receiver as webhooks

    monkeypatch.setattr(webhooks, "_AFTER_CANCEL", 0.02)
    hook = Hook(stubborn=stubborn)
    receiver = hook.receiver(hook_timeout=0.5)
    asking = asyncio.create_task(ask(receiver))
    await hook.begun.wait()
    await receiver.aclose(grace=0)
    assert hook.cancelled.is_set()
    hook.may_end.set()
    assert await asking == 503


async def test_none_begins_after_closing(no_leaks: None) -> None:
    """A request whose body was still on its way when the receiver closed gets 503, and calls no hook."""
    hook = Hook()
    receiver = hook.receiver()
    half, rest = asyncio.Event(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield BODY[:10]
        half.set()
        await rest.wait()
        yield BODY[10:]

    asking = asyncio.create_task(receiver.receive("POST", TOKEN, {}, chunks()))
    await half.wait()
    await receiver.aclose()
    rest.set()
    assert await asking == (503, b"")
    assert hook.calls == 0


async def test_nothing_stays_in_flight(no_leaks: None) -> None:
    """Whatever becomes of a request, it is not in flight any more, and the next one is let in."""
    hook = Hook()
    hook.may_end.set()
    receiver = hook.receiver(concurrency=1, hook_timeout=5, body_timeout=0.02)

    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def broken() -> AsyncIterator[bytes]:
        yield b"["
        raise ConnectionResetError

    for body, status in ((b"x", 400), (b" " * 300_000, 413), (b"[]", 200), (json.dumps(INCOMING).encode(), 200)):
        assert await ask(receiver, body) == status
    assert await receiver.receive("POST", TOKEN, {}, never()) == (408, b"")
    with pytest.raises(ConnectionResetError):
        await receiver.receive("POST", TOKEN, {}, broken())
    hook.raising = ValueError()
    assert await ask(receiver) == 500
    hook.raising = None
    assert await ask(receiver) == 200


@pytest.mark.parametrize(
    "body",
    [
        [INCOMING | {"ts": "very private"}],
        [INCOMING | {"text": ["very private"]}],
        [INCOMING | {"from": {"79101111111": "very private"}}],
        [INCOMING, {"very private": "79101111111"}],
        {"79101111111": "very private"},
        "very private 79101111111",
        INCOMING,
    ],
    ids=str,
)
async def test_nothing_private_in_logs(body: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What is logged of a body, bad or dropped, holds no text, no phone and no token of it."""
    with caplog.at_level(logging.DEBUG):
        await ask(Hook().receiver(), json.dumps(body).encode())
    assert caplog.records
    said = " ".join(str(vars(record)) for record in caplog.records if record.name == "devino_async")
    assert not any(word in said for word in ("private", "79101111111", TOKEN))


def test_from_threads() -> None:
    """From WSGI's threads a receiver works by one event loop in a thread and run_coroutine_threadsafe."""
    hook = Hook()
    hook.may_end.set()
    receiver = hook.receiver(concurrency=2)
    loop = asyncio.new_event_loop()
    serving = threading.Thread(target=loop.run_forever)
    serving.start()

    def request(_: int) -> int:
        return asyncio.run_coroutine_threadsafe(ask(receiver), loop).result(timeout=60)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(request, range(20))) == {200}
    loop.call_soon_threadsafe(loop.stop)
    serving.join()
    loop.close()
    assert hook.calls == 20
