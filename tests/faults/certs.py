"""Certificates for the tests, made anew for each run with trustme: nothing secret is kept anywhere."""

import ssl

import trustme
from attrs import frozen


@frozen
class Certificates:
    """What a server shows and a client trusts."""

    trusting: ssl.SSLContext
    good: ssl.SSLContext
    wrong_host: ssl.SSLContext
    unknown_authority: ssl.SSLContext
    asking: ssl.SSLContext


def made() -> Certificates:
    """Two authorities, a client that trusts the first, and servers in every state."""
    ours, theirs = trustme.CA(), trustme.CA()
    trusting = ssl.create_default_context()
    ours.configure_trust(trusting)
    good = ours.issue_cert("127.0.0.1", "localhost")
    asking = _server(good)
    asking.verify_mode = ssl.CERT_REQUIRED
    ours.configure_trust(asking)
    return Certificates(
        trusting=trusting,
        good=_server(good),
        wrong_host=_server(ours.issue_cert("elsewhere.test")),
        unknown_authority=_server(theirs.issue_cert("127.0.0.1", "localhost")),
        asking=asking,
    )


def _server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context
