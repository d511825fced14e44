"""A pretend Devino on loopback, for tests and trials without an account; a second reading of the API page.

    async with Sandbox() as sandbox:
        ... DevinoClient("any-key", base_url=sandbox.url) ...

What is sent to it can be looked up, paged, counted and reported to callback URLs. It imports nothing of the SDK.
Every POST of messages becomes a campaign (task) of its own, numbered from 1, unless a message's `options` has a
`taskId`. A recipient's last three digits decide its fate, once its stages have passed:

| recipient ends in | ends as | recipient ends in | ends as |
|---|---|---|---|
| 991 | UNDELIVERABLE | 995 | SENT, for ever |
| 992 | EXPIRED | 996 | CLICKED, if its links were shortened |
| 993 | REJECTED | | |
| 994 | UNKNOWN | anything else | DELIVERED |

A sender called `Unknown` is rejected with `not.available`. Callbacks and incoming messages go to loopback only.
"""

from .clock import ManualClock, SystemClock
from .server import Sandbox

__all__ = ["ManualClock", "Sandbox", "SystemClock"]
