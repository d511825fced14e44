"""A pretend Devino on loopback, for tests and trials without an account, written from the API docs alone.

    async with Sandbox() as sandbox:
        ... DevinoClient("any-key", base_url=sandbox.url) ...

Messages sent to it can be looked up, paged, counted and reported to callback URLs. The package imports nothing
from the SDK, and its files are named like those of `protocol/`.

Every POST of messages becomes a campaign of its own. Its `taskId`, which is also its `triggerId`, counts up from 1.
A message whose `options` hold a `taskId`, a whole number above 0, belongs to that campaign instead.

A message is SCHEDULED until its scheduledTime (a time in the past means now), then ACCEPTED, ENROUTE and SENT for one
stage each, and DELIVERED. The last digits of some recipients decide otherwise: `MAGIC_RECIPIENTS` is the table.

A sender called `Unknown` is rejected with `not.available`. Callbacks and incoming messages go to loopback only. A
callbackUrl elsewhere is accepted and counted in `skipped_callbacks`. `POST /sandbox/incoming` with
`{"url": ..., "message": {...}}` makes the sandbox POST an incoming message to that URL. The real Devino has
no such route. `Sandbox(callback_faults=CallbackFaults(...))` makes callbacks come twice, late, in any order or never.

Tests read `sandbox.messages`, await `sandbox.wait_for(to=..., text=...)`, and set `sandbox.faults`. The same is under
`/_sandbox` for programs in other languages: control.py has the list.
"""

from .clock import ManualClock, SystemClock
from .faults import CallbackFaults
from .recipients import MAGIC as MAGIC_RECIPIENTS
from .records import NotSentOnce, Repeated, SentMessage
from .replies import Reply
from .server import Sandbox
from .threaded import SandboxThread
from .troubles import Faults

__all__ = [
    "MAGIC_RECIPIENTS",
    "CallbackFaults",
    "Faults",
    "ManualClock",
    "NotSentOnce",
    "Repeated",
    "Reply",
    "Sandbox",
    "SandboxThread",
    "SentMessage",
    "SystemClock",
]
