"""Runs one row of a table against the SDK, and checks every verdict against what the server really received.

`unsound` is the heart: it knows nothing of how the SDK decides.
"""

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from attrs import field, frozen
from certs import Certificates
from fault_script import Script, id_for
from fault_server import FaultServer, Request
from reachable import untroubled

from devino_async import (
    Accepted,
    AttemptStarted,
    CallFailed,
    DevinoClient,
    Message,
    NotSent,
    PoolOptions,
    Receipt,
    Rejected,
    RetryPolicy,
    Timeouts,
    Unconfirmed,
)

KEY = "key-4f9c1e7ab3d85062"
# A 429 does not count as an attempt, so only the deadline bounds those.
TWICE = RetryPolicy(attempts=2, backoff=0.0, deadline=3.0)
PATIENT = Timeouts(connect=20.0, read=20.0, total=40.0)
SHORT = Timeouts(connect=0.4, read=0.4)
BOUND = float(os.environ.get("FAULT_BOUND", "60"))
"""Seconds after which a run is given up; nothing ever waits for it when all is well."""

By = Literal[
    "plain",
    "good",
    "wrong_host",
    "unknown_authority",
    "self_signed",
    "expired",
    "not_yet_valid",
    "asking",
    "old_asking",
    "old_server",
    "new_server",
]
Client = Literal["trusting", "known", "stranger", "old_client", "new_client", "public"]


@frozen(kw_only=True)
class Row:
    """A fault, and what the table of delivery-safety.md demands for it.

    `verdict` is that of every message, or one for each. `tries` is how many attempts are made; `posts` how many heads
    of a POST the server sees: as many as `tries` if not given, or None where that is left to chance. A `ledger` row
    is one where the kernel decides whether the last byte left: NotSent after two tries, or Unconfirmed, both sound.
    `accepts` is how many connections the server accepts, those without a handshake included, `says` what the error of
    each message says among other things; `server` and `client` are attributes of Certificates.
    """

    name: str
    scripts: tuple[Script, ...]
    verdict: type[Receipt] | tuple[type[Receipt], ...]
    tries: int = 1
    posts: int | None = -1
    count: int = 1
    long: bool = False
    server: By = "plain"
    client: Client = "trusting"
    client_tls: bool | None = None
    accepts: int | None = None
    says: str = ""
    timeouts: Timeouts = PATIENT
    retry: RetryPolicy = TWICE
    pool: dict[str, Any] = field(factory=dict)
    error: type[CallFailed] | None = None
    ledger: bool = False
    listens: bool = True


@frozen(kw_only=True)
class Outcome:
    """What became of a run: the receipts, the server with its ground truth, and the attempts that the SDK told of."""

    receipts: list[Receipt]
    server: FaultServer
    attempts: int
    events: list[Any]


@cache
def messages(count: int, long: bool = False) -> list[Message]:
    """Messages to different phones; long ones make a body that no buffer can hold."""
    text = "Привет, это проверка доставки. " * (20 if long else 3)
    return [Message(sender="Lab", to=f"7900{number:07}", text=f"{text}{number}") for number in range(count)]


def refused_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


async def run(row: Row, certificates: Certificates) -> Outcome:
    """Send the row's messages to a server that plays its scripts."""
    tls = None if row.server == "plain" else getattr(certificates, row.server)
    events: list[Any] = []
    async with asyncio.timeout(BOUND), FaultServer(row.scripts, tls=tls) as server:
        secure = tls is not None if row.client_tls is None else row.client_tls
        port = server.port if row.listens else refused_port()
        options = PoolOptions(ssl_context=getattr(certificates, row.client), **row.pool)
        async with untroubled(
            DevinoClient(
                KEY,
                base_url=f"http{'s' if secure else ''}://127.0.0.1:{port}",
                timeouts=row.timeouts,
                retry=row.retry,
                pool=options,
                on_event=events.append,
            )
        ) as client:
            receipts = await sent(client, messages(row.count, row.long))
        await settled(server)
    attempts = sum(isinstance(event, AttemptStarted) for event in events)
    return Outcome(receipts=receipts, server=server, attempts=attempts, events=events)


async def sent(client: DevinoClient, batch: Sequence[Message]) -> list[Receipt]:
    """The receipts of the batch, sent in one POST. Single sends share one, and unlike a stream they give up."""
    return list(await asyncio.gather(*map(client.send, batch)))


async def settled(server: FaultServer) -> None:
    """Let the server read what its client left on the way."""
    for _ in range(20):
        await asyncio.sleep(0)
    for connection in server.connections:
        connection.sweep()


def unsound(receipts: Sequence[Receipt], posts: Sequence[Request], sent_messages: Sequence[Message]) -> list[str]:
    """Every verdict that the ground truth contradicts, every message without exactly one receipt, every double SMS."""
    received: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for post in posts:
        if post.complete:
            (refused if post.refused else received).update(post.phones)
    wrong = [f"{phone}: processed {times} times" for phone, times in received.items() if times > 1]
    per_message = Counter(receipt.message.to for receipt in receipts)
    wrong += [f"{each.to}: {per_message[each.to]} receipts" for each in sent_messages if per_message[each.to] != 1]
    if len(receipts) != len(sent_messages):
        wrong.append(f"{len(receipts)} receipts for {len(sent_messages)} messages")
    for receipt in receipts:
        phone = receipt.message.to
        if isinstance(receipt, NotSent) and received[phone]:
            wrong.append(f"{phone}: NotSent, but received")
        if isinstance(receipt, Accepted | Rejected) and not received[phone] + refused[phone]:
            wrong.append(f"{phone}: {type(receipt).__name__}, but never received")
        if isinstance(receipt, Accepted) and receipt.message_id != id_for(phone):
            wrong.append(f"{phone}: has the id of another message")
    return wrong


def check(row: Row, outcome: Outcome) -> None:
    """The verdicts are sound, and they and the number of attempts are what the row says."""
    assert not unsound(outcome.receipts, outcome.server.posts, messages(row.count, row.long))
    got = tuple(type(receipt) for receipt in outcome.receipts)
    heads = len(outcome.server.posts)
    if row.ledger:
        assert set(got) in ({NotSent}, {Unconfirmed})
        assert outcome.attempts == 2 if NotSent in got else outcome.attempts in {1, 2}
        assert heads <= (outcome.attempts if row.posts in {None, -1} else row.posts or 0)
        return
    wanted = row.verdict if isinstance(row.verdict, tuple) else (row.verdict,) * row.count
    assert got == wanted, [getattr(receipt, "error", receipt) for receipt in outcome.receipts[:3]]
    assert outcome.attempts == row.tries
    posts = row.tries if row.posts == -1 else row.posts
    assert posts is None or heads == posts
    assert len(outcome.server.connections) <= outcome.attempts
    errors = {type(receipt.error) for receipt in outcome.receipts if isinstance(receipt, NotSent | Unconfirmed)}
    assert row.error is None or errors == {row.error}
    assert row.accepts in {None, outcome.server.accepted}
    assert all(row.says in str(getattr(receipt, "error", row.says)) for receipt in outcome.receipts)
