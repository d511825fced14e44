"""The table, first part: faults of connecting, of TLS, and of sending the request.

A small body leaves in one piece with its head, so that whatever the server does next, nobody can tell. A long one
(2,000 messages, 2.2 MB) does not fit into all buffers together: while it is on its way its end cannot have arrived.
"""

from fault_check import PATIENT, SHORT, By, Row
from fault_script import ALL_BUT_ONE, GOOD, End, Goal, How, Say, Script, Take

from devino_async import Accepted, NotSent, OutcomeUnknown, RequestNotSent, Unconfirmed

_ENDS: tuple[How, ...] = ("fin", "rst", "stall")
_HELLO = 60


def _connecting() -> list[Row]:
    return [
        Row(name="nobody listens", scripts=(GOOD,), listens=False, verdict=NotSent, tries=2, posts=0),
        Row(name="nobody listens, long", scripts=(GOOD,), listens=False, verdict=NotSent, tries=2, posts=0, count=2000),
        Row(
            name="nobody listens, TLS", scripts=(GOOD,), listens=False, client_tls=True, verdict=NotSent, tries=2,
            posts=0,
        ),
        Row(name="fin at once", scripts=((End("fin"),),), verdict=NotSent, ledger=True),
        Row(name="rst at once", scripts=((End("rst"),),), verdict=NotSent, ledger=True),
        Row(name="fin at once, TLS", scripts=((End("fin"),),), server="good", verdict=NotSent, ledger=True),
        Row(name="rst at once, TLS", scripts=((End("rst"),),), server="good", verdict=NotSent, ledger=True),
    ]  # fmt: skip


def _handshake() -> list[Row]:
    rows = []
    for how in _ENDS:
        for name, steps in (
            ("before the hello", ()),
            ("in the hello", (Take(_HELLO),)),
            ("after the hello", (Take(200),)),
            ("in the server's answer", (Take(200), Say(b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"))),
        ):
            rows.append(
                Row(
                    name=f"TLS {how} {name}",
                    scripts=((*steps, End(how)),),
                    client_tls=True,
                    verdict=NotSent,
                    tries=2,
                    posts=0,
                    timeouts=SHORT if how == "stall" else PATIENT,
                    error=RequestNotSent,
                )
            )
    for name, said in (
        ("an HTTP answer", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ("garbage", b"\x00\x01\x02garbage" * 20),
        ("an alert", b"\x15\x03\x03\x00\x02\x02\x28"),
        ("an SMTP banner", b"220 mail.example ESMTP\r\n"),
    ):
        rows.append(
            Row(
                name=f"TLS client gets {name}",
                scripts=((Take(100), Say(said), End("fin")),),
                client_tls=True,
                verdict=NotSent,
                tries=2,
                posts=0,
            )
        )
    rows.append(
        Row(name="plain client, TLS server", scripts=(GOOD,), server="good", client_tls=False, verdict=Unconfirmed,
            posts=0)
    )  # fmt: skip
    return rows


def _request() -> list[Row]:
    """Where the server stops reading, how it ends, how long the body is, with and without TLS."""
    places: list[tuple[str, tuple[Take, ...], bool]] = [
        ("before the head", (), True),
        ("in the head", (Take(100),), True),
        ("after the head", (Take("head"),), True),
        ("in the first tenth of the body", (Take(0.1),), True),
        ("in the middle of the body", (Take(0.5),), True),
        ("one byte before the end", (Take(ALL_BUT_ONE),), False),
        ("after the whole body", (Take("request"),), False),
    ]
    rows = []
    servers: tuple[By, ...] = ("plain", "good")
    for server in servers:
        for how in _ENDS:
            for place, steps, proved in places:
                if steps or how == "stall":
                    rows.append(_stopped(f"{how} {place}, {server}, 1", (*steps, End(how)), server, how, place, False))
                rows.append(
                    _stopped(f"{how} {place}, {server}, 2,000", (*steps, End(how)), server, how, place, proved, 2000)
                )
    return rows


def _stopped(name: str, steps: Script, server: By, how: How, place: str, proved: bool, count: int = 1) -> Row:
    """A body that was surely not handed over is NotSent and tried again; any other is Unconfirmed."""
    return Row(
        name=name,
        scripts=(steps,),
        server=server,
        verdict=NotSent if proved else Unconfirmed,
        error=RequestNotSent if proved else OutcomeUnknown,
        tries=2 if proved else 1,
        posts=None if place in {"before the head", "in the head"} else -1,
        count=count,
        long=count == 2000,
        timeouts=SHORT if how == "stall" else PATIENT,
        # Whether a stalled body was handed over whole within the time-out is up to the kernel and the machine's load.
        ledger=proved and how == "stall",
    )


def _big() -> list[Row]:
    """32,000 messages, and 500 in between."""
    servers: tuple[By, ...] = ("plain", "good")
    places: tuple[tuple[Goal, How, bool], ...] = (
        ("head", "rst", True),
        (0.5, "fin", True),
        (ALL_BUT_ONE, "rst", False),
        ("request", "rst", False),
        ("request", "fin", False),
    )
    rows = [
        _stopped(f"{how} at {goal}, {server}, 32,000", (Take(goal), End(how)), server, how, "", proved, 32_000)
        for server in servers
        for goal, how, proved in places
    ]
    ends: tuple[tuple[Goal, How], ...] = (
        (ALL_BUT_ONE, "fin"),
        ("request", "fin"),
        ("request", "rst"),
        ("request", "stall"),
    )
    for goal, how in ends:
        rows.append(_stopped(f"{how} at {goal}, 500", (Take(goal), End(how)), "plain", how, "", False, 500))
    for count in (500, 2000, 32_000):
        for server in servers:
            name = f"all is well, {server}, {count:,}"
            rows.append(Row(name=name, scripts=(GOOD,), server=server, verdict=Accepted, count=count))
    return rows


WIRE: list[Row] = [*_connecting(), *_handshake(), *_request(), *_big()]
