"""A Dispatch on any transport, with a breaker whose probes are answered at once."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from reachable import Reachable, at_once

from devino_async.client.batches import Batches
from devino_async.client.dispatch import Dispatch
from devino_async.events import Events
from devino_async.exchange import Call, Transport
from devino_async.flow.ownership import Owner
from devino_async.flow.steps import Turns
from devino_async.transport.breaker import Breaker
from devino_async.transport.limits import Limits
from devino_async.transport.retry import RetryPolicy

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
PROBE = Call(operation="statuses", method="POST", path="/")


def dispatch_on(
    transport: Transport,
    owner: Owner | None = None,
    turns: Turns | None = None,
    *,
    events: Events | None = None,
    retry: RetryPolicy | None = None,
    limits: Limits | None = None,
    on_unclaimed: Callable[..., Any] | None = None,
) -> Dispatch:
    turns, events, limits = turns or Turns(), events or Events(), limits or Limits()
    breaker = Breaker(Reachable(), PROBE, clock=time.monotonic, sleep=at_once, events=events)
    return Dispatch(
        Batches(
            transport, breaker, turns, retry=retry or RetryPolicy(), limits=limits, events=events, today=lambda: NOON
        ),
        owner or Owner(),
        turns,
        clock=time.monotonic,
        limits=limits,
        events=events,
        on_unclaimed=on_unclaimed,
    )
