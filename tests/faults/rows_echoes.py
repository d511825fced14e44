"""Services that give back what they were sent, in every answer and every kind of failure that a call can meet."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_plus

from attrs import frozen
from fault_check import KEY, PATIENT, By
from fault_script import End, How, Say, Script, Take, http
from fault_server import Request
from seen import LOGIN, PASSWORD, PHONE, TEXT, TOKEN

from devino_async import Timeouts


def known(request: Request) -> tuple[str, ...]:
    """What the service knows of its client: the credentials, decoded too, a phone and a text that were sent."""
    mine = (KEY,) if KEY in request.head.decode() else (TOKEN, LOGIN, PASSWORD)
    return (
        *mine,
        PHONE,
        f"+{PHONE}",
        f"7 900 {PHONE[4:7]}-{PHONE[7:9]}-{PHONE[9:]}",
        *[TEXT] * (TEXT in sent(request)),
    )


def sent(request: Request) -> str:
    return unquote_plus(request.head.decode()) + request.body.decode()


def whole(request: Request) -> str:
    """All that was sent, as it came and decoded."""
    return f"{request.head.decode()}\n{sent(request)}\n{known(request)}"


def all_of(request: Request) -> str:
    return " | ".join(known(request))


def reasons(request: Request) -> str:
    every = all_of(request)
    told = [{"key": each, "ref": each, "defaultMessage": each, each: each} for each in known(request)]
    return json.dumps({"result": None, "reasons": told, "description": whole(request), "code": every, "message": every})


def row(request: Request) -> dict[str, Any]:
    names = ("status", "code", "balance", "date", "period", "count", "text", "to", "more", "total", "segmentsId")
    # An id is given to the caller as it is, whatever it looks like.
    return dict.fromkeys((*names, *known(request)), all_of(request)) | {"smsId": "1", "messageId": "2"}


def rows(request: Request) -> str:
    """Where the answers of the calls hold values, the secrets stand, and in their keys."""
    one, every = row(request), all_of(request)
    return json.dumps({"result": [{**one, "data": [one, every], "account": one}, every], **one})


def envelope(request: Request) -> str:
    one = row(request)
    return json.dumps({"result": {**one, "account": one, "data": [one]}})


def said(status: int | str, body: Callable[[Request], str], *headers: str) -> Callable[[Request], bytes]:
    """An answer. In its headers `<>` stands for all that the service knows."""

    def answer(request: Request) -> bytes:
        every = all_of(request).encode().decode("latin-1")
        told = http(status, body(request), *("\0" for _ in headers)).decode("latin-1")
        for header in headers:
            told = told.replace("\0", header.replace("<>", every), 1)
        return told.encode("latin-1")

    return answer


def raw(text: str) -> Callable[[Request], bytes]:
    return lambda request: text.replace("<>", all_of(request)).encode()


ANSWERS: dict[str, Callable[[Request], bytes]] = {
    "401 HTML": said(401, lambda got: f"<html><pre>{whole(got)}</pre></html>"),
    "401 JSON": said(401, lambda got: json.dumps({"description": whole(got)})),
    "403 reasons": said(403, reasons),
    "400 reasons": said(400, reasons),
    "400 text": said(400, whole),
    "400 all": said(400, all_of),
    "404 path": said(404, lambda got: f"Cannot find {got.head.decode().splitlines()[0]}"),
    "404 decoded path": said(404, lambda got: f"Cannot find {sent(got).splitlines()[0]}"),
    "429": said(429, all_of, "Retry-After: 0"),
    "500 HTML": said(500, lambda got: f"<html>{all_of(got)}</html>"),
    "500 reasons": said(500, reasons),
    "503": said(503, whole),
    "200 HTML": said(200, lambda got: f"<html>{all_of(got)}</html>"),
    "200 garbage": said(200, lambda got: "{[" + whole(got)),
    "200 a string": said(200, lambda got: json.dumps(all_of(got))),
    "200 reasons": said(200, reasons),
    "200 rows": said(200, rows),
    "200 envelope": said(200, envelope),
    "302": said(302, all_of, "Location: https://devino.test/<>"),
    "headers": said(400, all_of, "Content-Type: <>", "Retry-After: <>", "X: <>", "Content-Language: <>"),
    "cookies": said(400, all_of, "Set-Cookie: <>@;=1", "Set-Cookie: a=<>; expires=<>", "Set-Cookie: (<>)=1"),
    "coding": said(200, all_of, "Content-Encoding: <>"),
    "no gzip": said(200, all_of, "Content-Encoding: gzip"),
    "status line": raw("HTTP/1.1 <>\r\n\r\n"),
    "reason phrase": raw("HTTP/1.1 400 <>\r\nContent-Length: 0\r\n\r\n"),
    "header line": raw("HTTP/1.1 200 OK\r\n<>\r\n\r\n"),
    "content length": raw("HTTP/1.1 200 OK\r\nContent-Length: <>\r\n\r\n"),
    "chunk size": raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n<>\r\n<>"),
    "the request": lambda got: got.head + got.body,
}
ESCAPED = said(400, lambda got: f"<script>{json.dumps([all_of(got)])}</script>")


@frozen
class Fault:
    """What a service plays, how it can be reached, and how long its client waits."""

    script: Script = ()
    server: By = "plain"
    listens: bool = True
    timeouts: Timeouts = PATIENT


def after(answer: Callable[[Request], bytes], how: How, timeouts: Timeouts = PATIENT) -> Fault:
    """The whole request, so much of an answer, and an end."""
    return Fault((Take("request"), Say(answer), End(how)), timeouts=timeouts)


def many(count: int) -> Callable[[Request], str]:
    return lambda request: json.dumps({"result": {"data": [row(request)] * count}, "text": all_of(request)})


def listed(count: int) -> Callable[[Request], str]:
    return lambda request: json.dumps({"result": [row(request)] * count, "text": all_of(request)})


IMPATIENT = Timeouts(connect=20.0, read=0.05, total=40.0)
FAULTS: dict[str, Fault] = {
    "refused connection": Fault(listens=False),
    "certificate": Fault(server="self_signed"),
    "handshake": Fault(server="asking"),
    "reset at the door": Fault((End("rst"),)),
    "reset in the request": Fault((Take(20), End("rst"))),
    "reset after the request": Fault((Take("request"), End("rst"))),
    "end after the request": Fault((Take("request"), End("fin"))),
    "half a head": after(lambda got: b"HTTP/1.1 200 OK\r\nX: " + all_of(got).encode(), "fin"),
    "half an answer": after(lambda got: http(200, envelope(got), length=100_000), "fin"),
    "half a long answer": after(lambda got: http(200, listed(200)(got), length=1_000_000), "rst"),
    "half a refusal": after(lambda got: http(400, reasons(got), length=100_000), "fin"),
    "a list without an end": after(lambda got: http(200, listed(200)(got)[:-9] + "\x00"), "eof"),
    "rows without an end": after(lambda got: http(200, many(200)(got)[:-9] + "}}}"), "eof"),
    "a long envelope of nothing": after(lambda got: http(200, json.dumps({"x": whole(got) * 99})), "eof"),
    "silence": Fault((Take("request"), End("stall")), timeouts=IMPATIENT),
    "silence in the answer": after(lambda got: http(200, envelope(got), length=100_000), "stall", IMPATIENT),
}
