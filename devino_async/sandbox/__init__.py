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

Open `sandbox.url` in a browser to see every message and its callbacks, to reply, and to switch faults on.

Tests read `sandbox.messages`, await `sandbox.wait_for(to=..., text=...)`, and set `sandbox.faults`. The same is under
`/_sandbox` for programs in other languages: control.py has the list.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clock import ManualClock as ManualClock
    from .clock import SystemClock as SystemClock
    from .faults import CallbackFaults as CallbackFaults
    from .recipients import MAGIC_RECIPIENTS as MAGIC_RECIPIENTS
    from .records import NotSentOnce as NotSentOnce
    from .records import Repeated as Repeated
    from .records import SentMessage as SentMessage
    from .replies import Reply as Reply
    from .server import Sandbox as Sandbox
    from .threaded import SandboxThread as SandboxThread
    from .troubles import Faults as Faults

# The same names again, for use at run time: `devino sandbox --help` loads no server. A test compares the two lists.
_HOMES = {
    "CallbackFaults": ".faults",
    "Faults": ".troubles",
    "MAGIC_RECIPIENTS": ".recipients",
    "ManualClock": ".clock",
    "NotSentOnce": ".records",
    "Repeated": ".records",
    "Reply": ".replies",
    "Sandbox": ".server",
    "SandboxThread": ".threaded",
    "SentMessage": ".records",
    "SystemClock": ".clock",
}


def __getattr__(name: str) -> object:
    if name == "__all__":
        return sorted(_HOMES)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
