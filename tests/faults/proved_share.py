"""How many incomplete sends are proved unsent: cut at a random byte of the body, how often is the verdict NotSent?

    python tests/faults/proved_share.py [CUTS]

The server reads so many bytes, with a receive buffer of the system's own size, and resets. Prints a table.
"""

import asyncio
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from certs import Certificates, made
from fault_check import KEY, PATIENT, messages, sent
from fault_script import End, Take
from fault_server import FaultServer
from reachable import untroubled

from devino_async import DevinoClient, NotSent, PoolOptions, RetryPolicy


async def share(count: int, cuts: int, certificates: Certificates, *, tls: bool, send_buffer: int | None) -> float:
    """The share of cut sends that end as NotSent."""
    dice = random.Random(count)
    proved = 0
    pool = PoolOptions(ssl_context=certificates.trusting, send_buffer=send_buffer)
    for _ in range(cuts):
        script = (Take(dice.random()), End("rst"))
        async with FaultServer((script,), tls=certificates.good if tls else None, receive_buffer=None) as server:
            async with untroubled(
                DevinoClient(KEY, base_url=server.url, timeouts=PATIENT, retry=RetryPolicy(attempts=1), pool=pool)
            ) as client:
                receipts = await sent(client, messages(count))
        proved += isinstance(receipts[0], NotSent)
    return proved / cuts


async def table(cuts: int) -> None:
    """One line for each size."""
    certificates = made()
    print(f"each of {cuts} cuts")
    print(f"{'messages':>8} {'body':>10} {'plain':>7} {'TLS':>7} {'plain, default SO_SNDBUF':>25}")
    for count in (1, 500, 2_000, 32_000):
        size = sum(len(each.text.encode()) + 48 for each in messages(count))
        plain = await share(count, cuts, certificates, tls=False, send_buffer=65_536)
        tls = await share(count, cuts, certificates, tls=True, send_buffer=65_536)
        default = await share(count, cuts, certificates, tls=False, send_buffer=None)
        print(f"{count:>8,} {size:>10,} {plain:>7.0%} {tls:>7.0%} {default:>25.0%}")


if __name__ == "__main__":
    asyncio.run(table(int(sys.argv[1]) if len(sys.argv) > 1 else 50))
