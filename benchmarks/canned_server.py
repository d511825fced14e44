"""A server that answers from memory, in a process of its own, so that it is not what is measured.

Knows just enough HTTP/1.1 for the benchmarks: a POST of messages gets as many accepted results, a POST of ids as many
statuses, a GET of details a page. Nothing is parsed beyond counting. Below /after/N it answers N milliseconds later, as
a service that does something would.

    with canned_server() as url: ...
"""

import asyncio
import multiprocessing
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing.connection import Connection

_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_AFTER = re.compile(rb"POST /after/(\d+)/")
_OFFSET = re.compile(rb"[?&]offset=(\d+)")
_LIMIT = re.compile(rb"[?&]limit=(\d+)")
DETAIL_ROWS = 100_000


class Canned(asyncio.Protocol):
    """One connection: gathers a request, counts what is in it, answers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.received: list[bytes] = []
        self.missing = -1

    def data_received(self, data: bytes) -> None:
        self.received.append(data)
        if self.missing < 0:
            whole = b"".join(self.received)
            head, found, body = whole.partition(b"\r\n\r\n")
            if not found:
                return
            length = _LENGTH.search(head)
            self.missing = int(length[1]) - len(body) if length else 0
        else:
            self.missing -= len(data)
        if self.missing <= 0:
            request, self.received, self.missing = b"".join(self.received), [], -1
            write = self.transport.write  # type: ignore[attr-defined]
            if after := _AFTER.match(request):
                asyncio.get_running_loop().call_later(int(after[1]) / 1000, write, answer(request))
            else:
                write(answer(request))


def answer(request: bytes) -> bytes:
    if request.startswith(b"POST /sms/messages") or b'"to"' in request[:4096]:
        with_segments = b"includeSegmentId=true" in request[:200]
        return sending_answer(max(request.count(b'"to":'), 1), with_segments)
    if request.startswith(b"POST /sms-stat"):
        ids = body_of(request).strip(b"[]").replace(b'"', b"").split(b",")
        return statuses_answer(list(map(bytes.strip, ids)))
    if request.startswith(b"GET /sms-stat/detail"):
        line = request.split(b"\r\n", 1)[0]
        return details_answer(int(_OFFSET.search(line)[1]), int(_LIMIT.search(line)[1]))  # type: ignore[index]
    # Twilio's shape, for its client.
    return framed(b'{"sid":"SM00000000000000000000000000000000","status":"queued","to":"+79000000001"}', 201)


@cache
def sending_answer(count: int, with_segments: bool) -> bytes:
    ids = range(3_701_172_084_729_885_952, 3_701_172_084_729_885_952 + 2 * count, 2)
    segments = (lambda each: b',"segmentsId":["%d","%d"]' % (each, each + 1)) if with_segments else (lambda _: b"")
    rows = b",".join(b'{"code":"OK","messageId":"%d"%s}' % (each, segments(each)) for each in ids)
    return framed(b'{"result":[%s]}' % rows)


def statuses_answer(ids: list[bytes]) -> bytes:
    row = b'{"smsId":%s,"status":"DELIVERED","statusDateTime":"2026-11-23 12:00:00"}'
    return framed(b'{"result":[%s]}' % b",".join(row % each for each in ids))


@cache
def details_answer(offset: int, limit: int) -> bytes:
    last = min(offset + limit, DETAIL_ROWS)
    rows = b",".join(detail_row(number) for number in range(offset, last))
    more = b"true" if last < DETAIL_ROWS else b"false"
    return framed(b'{"result":{"offset":%d,"size":%d,"more":%s,"data":[%s]}}' % (offset, limit, more, rows))


def detail_row(number: int) -> bytes:
    return (
        b'{"messageId":"%d","sentDateTime":"2022-12-14 05:55:32","segmentId":"%d","sourceAddress":"sendersName",'
        b'"recipient":"79001112233","status":"DELIVERED","eventDateTime":"2022-12-14 05:54:52","companyId":234,'
        b'"companyName":"MyCompany","userId":88,"userLogin":"79001112233","countryId":12,"countryName":"Russia",'
        b'"mogId":0,"mogName":"MOG","moId":234,"moName":"Operator Name","taskId":88888888,"taskName":"SimpleCampaign",'
        b'"taskType":"SIMPLE","triggerId":2345678,"text":"Hello","errorCode":0,"traffic":"ADVERTISING","price":2.35,'
        b'"recipientZoneName":"UTC +03:00","triggerContactGroup":"contactGroup","isContactGroupDeleted":"No"}'
    ) % (number + 10**20, number + 10**20)


def framed(body: bytes, status: int = 200) -> bytes:
    head = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return head + body


def body_of(framed_one: bytes) -> bytes:
    """The body of a request or an answer."""
    return framed_one.partition(b"\r\n\r\n")[2]


def serve(ready: Connection) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0, backlog=4096)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@contextmanager
def canned_server() -> Iterator[str]:
    """Yield the address of a server, which ends with the block."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    # A server that could not start is then told by EOFError instead of waited for.
    there.close()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()
