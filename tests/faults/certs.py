"""Certificates for the tests, made anew for each run with the `openssl` command: nothing secret is kept anywhere."""

import ssl
import subprocess
from pathlib import Path

from attrs import frozen

_EXTENSIONS = """
[authority]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[here]
basicConstraints = critical,CA:false
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = IP:127.0.0.1,DNS:localhost
[elsewhere]
basicConstraints = critical,CA:false
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:elsewhere.test
"""


@frozen
class Certificates:
    """What a server shows and a client trusts."""

    trusting: ssl.SSLContext
    good: ssl.SSLContext
    wrong_host: ssl.SSLContext
    unknown_authority: ssl.SSLContext
    asking: ssl.SSLContext


def made(folder: Path) -> Certificates:
    """Two authorities, a client that trusts the first, and servers in every state."""
    (folder / "ext.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n" + _EXTENSIONS)
    for authority in ("ours", "theirs"):
        _openssl(
            folder,
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            f"{authority}.key",
            "-out",
            f"{authority}.pem",
            "-days",
            "2",
            "-subj",
            f"/CN={authority}",
            "-config",
            "ext.cnf",
            "-extensions",
            "authority",
        )
    for name, section, authority in (
        ("good", "here", "ours"),
        ("elsewhere", "elsewhere", "ours"),
        ("stranger", "here", "theirs"),
    ):
        _openssl(
            folder,
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
            "-config",
            "ext.cnf",
        )
        _openssl(
            folder,
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            f"{authority}.pem",
            "-CAkey",
            f"{authority}.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-out",
            f"{name}.pem",
            "-extfile",
            "ext.cnf",
            "-extensions",
            section,
        )
    trusting = ssl.create_default_context(cafile=str(folder / "ours.pem"))
    asking = _server(folder, "good")
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_verify_locations(folder / "ours.pem")
    return Certificates(
        trusting=trusting,
        good=_server(folder, "good"),
        wrong_host=_server(folder, "elsewhere"),
        unknown_authority=_server(folder, "stranger"),
        asking=asking,
    )


def _server(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)
