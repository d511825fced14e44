"""The table, fourth part: real TLS servers whose certificate, version or demands do not suit the client.

A certificate that the client refuses is permanent and tried once; any other handshake that fails is tried again. With
TLS 1.3 a server refuses the client's certificate when the client may have sent its request already.
"""

from fault_check import SHORT, By, Client, Row
from fault_script import GOOD, End, How, Say, Script, Take

from devino_async import Accepted, NotSent, RequestNotSent

_UNTRUSTED: tuple[By, ...] = ("expired", "not_yet_valid", "wrong_host", "unknown_authority", "self_signed")


def _certificates() -> list[Row]:
    rows = [
        Row(
            name=f"certificate: {server}, {count:,}", scripts=(GOOD,), server=server, verdict=NotSent, posts=0,
            accepts=1, count=count, error=RequestNotSent, says="ClientConnectorCertificateError",
        )
        for server in _UNTRUSTED
        for count in (1, 2000)
    ]  # fmt: skip
    rows += [
        Row(
            name="certificate: a private authority that only the client's own context would know", scripts=(GOOD,),
            server="good", client="public", verdict=NotSent, posts=0, accepts=1, error=RequestNotSent,
        ),
        Row(name="certificate: a private authority in the client's own context", scripts=(GOOD,), server="good",
            verdict=Accepted, accepts=1),
    ]  # fmt: skip
    return rows


def _versions() -> list[Row]:
    pairs: tuple[tuple[By, Client], ...] = (("old_server", "new_client"), ("new_server", "old_client"))
    rows = [
        Row(name=f"version: {server}, {client}", scripts=(GOOD,), server=server, client=client, verdict=NotSent,
            tries=2, posts=0, accepts=2, error=RequestNotSent)
        for server, client in pairs
    ]  # fmt: skip
    same: tuple[tuple[By, Client], ...] = (
        ("old_server", "trusting"), ("new_server", "trusting"), ("good", "old_client"), ("good", "new_client")
    )  # fmt: skip
    return rows + [
        Row(name=f"version: {server}, {client}", scripts=(GOOD,), server=server, client=client, verdict=Accepted,
            accepts=1)
        for server, client in same
    ]  # fmt: skip


def _client_certificates() -> list[Row]:
    rows = []
    for client in ("known", "trusting", "stranger"):
        for count in (1, 2000):
            name = f"client certificate: {client}, {count:,}"
            if client == "known":
                rows += [
                    Row(name=f"{name}, {server}", scripts=(GOOD,), server=server, client="known", verdict=Accepted,
                        count=count, long=count > 1, accepts=1)
                    for server in ("asking", "old_asking")
                ]  # fmt: skip
                continue
            rows += [
                Row(name=f"{name}, within the handshake", scripts=(GOOD,), server="old_asking", client=client,
                    verdict=NotSent, tries=2, posts=0, accepts=2, count=count, long=count > 1, error=RequestNotSent),
                # The server has seen no byte of a request, but of that the client has no proof.
                Row(name=f"{name}, after the handshake", scripts=(GOOD,), server="asking", client=client,
                    verdict=NotSent, ledger=True, posts=0, count=count, long=count > 1),
            ]  # fmt: skip
    return rows


def _plain_text() -> list[Row]:
    """A server that knows no TLS: it waits for more, hangs up, or answers in plain HTTP before any hello."""
    ends: tuple[How, ...] = ("fin", "rst", "stall")
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 52\r\n\r\n" + b'{"result": [{"code": "OK", "messageId": "9000001"}]}'
    scripts: dict[str, Script] = {f"{how} after an OK in plain text": (Say(answer), End(how)) for how in ends}
    scripts |= {f"{how} after half a hello and an OK": (Take(60), Say(answer), End(how)) for how in ends}
    return [
        Row(name=f"plain text: {name}", scripts=(script,), client_tls=True, verdict=NotSent, tries=2, posts=0,
            accepts=2, error=RequestNotSent, timeouts=SHORT)
        for name, script in scripts.items()
    ]  # fmt: skip


TLS: list[Row] = [*_certificates(), *_versions(), *_client_certificates(), *_plain_text()]
