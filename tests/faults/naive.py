"""The control: what most people write, aiohttp with tenacity around it. The fault lab must find it unsound."""

import aiohttp
from fault_check import KEY, Outcome, Row, messages, settled
from fault_server import FaultServer
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt

from devino_async import Accepted, NotSent, Receipt, RequestNotSent


class _Trouble(Exception):
    """A 5xx."""


async def post(url: str, body: list[dict[str, str]]) -> list[dict[str, str]]:
    """The results, with three attempts at whatever went wrong."""
    timeout = aiohttp.ClientTimeout(total=0.5)
    async with aiohttp.ClientSession(headers={"Authorization": f"Key {KEY}"}, timeout=timeout) as session:
        again = retry_if_exception_type((aiohttp.ClientError, TimeoutError, _Trouble))
        async for attempt in AsyncRetrying(retry=again, stop=stop_after_attempt(3), reraise=True):
            with attempt:
                async with session.post(f"{url}/sms/messages", json={"messages": body}) as response:
                    if response.status >= 500:
                        raise _Trouble
                    response.raise_for_status()
                    found: list[dict[str, str]] = (await response.json(content_type=None))["result"]
                    return found
    raise AssertionError


async def run_naive(row: Row) -> Outcome:
    """The same as fault_check.run, by the naive client. Whatever it raises, its user takes for 'not sent'."""
    batch = messages(row.count, row.long)
    body = [{"from": each.sender, "to": each.to, "text": each.text} for each in batch]
    receipts: list[Receipt]
    async with FaultServer(row.scripts) as server:
        try:
            found = await post(server.url, body)
            receipts = [Accepted(each, str(got["messageId"])) for each, got in zip(batch, found, strict=False)]
        except Exception:  # noqa: BLE001 - as naive as it gets
            error = RequestNotSent("failed", operation="send")
            receipts = [NotSent(each, error) for each in batch]
        await settled(server)
    return Outcome(receipts=receipts, server=server, attempts=len(server.connections), events=[])
