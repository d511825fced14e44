"""Certificates for the tests, made anew for each run with trustme: nothing secret is kept anywhere."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import trustme
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_HOSTS = ("127.0.0.1", "localhost")
_DAY = timedelta(days=1)


@frozen
class Certificates:
    """What a server shows and a client trusts.

    A client is `trusting` if it trusts our authority: with a certificate of its own (`known`), with one of another
    authority (`stranger`), or with one version of TLS only. One that is `public` trusts what the system trusts. A
    server that is `asking` lets in none without a certificate of our authority.
    """

    trusting: ssl.SSLContext
    known: ssl.SSLContext
    stranger: ssl.SSLContext
    old_client: ssl.SSLContext
    new_client: ssl.SSLContext
    public: None

    good: ssl.SSLContext
    wrong_host: ssl.SSLContext
    unknown_authority: ssl.SSLContext
    self_signed: ssl.SSLContext
    expired: ssl.SSLContext
    not_yet_valid: ssl.SSLContext
    asking: ssl.SSLContext
    old_asking: ssl.SSLContext
    old_server: ssl.SSLContext
    new_server: ssl.SSLContext


def made() -> Certificates:
    """Two authorities, clients that trust the first, and servers in every state."""
    ours, theirs = trustme.CA(), trustme.CA()
    good = ours.issue_cert(*_HOSTS)
    now = datetime.now(UTC)
    return Certificates(
        trusting=_client(ours),
        known=_client(ours, ours.issue_cert("client@lab.test")),
        stranger=_client(ours, theirs.issue_cert("client@lab.test")),
        old_client=_at_most_1_2(_client(ours)),
        new_client=_at_least_1_3(_client(ours)),
        public=None,
        good=_server(good),
        wrong_host=_server(ours.issue_cert("elsewhere.test")),
        unknown_authority=_server(theirs.issue_cert(*_HOSTS)),
        self_signed=_server(_self_signed(now)),
        expired=_server(ours.issue_cert(*_HOSTS, not_before=now - 3 * _DAY, not_after=now - _DAY)),
        not_yet_valid=_server(ours.issue_cert(*_HOSTS, not_before=now + _DAY, not_after=now + 3 * _DAY)),
        asking=_asking(ours, _server(good)),
        old_asking=_asking(ours, _at_most_1_2(_server(good))),
        old_server=_at_most_1_2(_server(good)),
        new_server=_at_least_1_3(_server(good)),
    )


def _client(trusted: trustme.CA, own: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    trusted.configure_trust(context)
    if own is not None:
        own.configure_cert(context)
    return context


def _server(certificate: trustme.LeafCert | trustme.Blob) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if isinstance(certificate, trustme.Blob):
        with certificate.tempfile() as path:
            context.load_cert_chain(path)
    else:
        certificate.configure_cert(context)
    return context


def _asking(trusted: trustme.CA, context: ssl.SSLContext) -> ssl.SSLContext:
    context.verify_mode = ssl.CERT_REQUIRED
    trusted.configure_trust(context)
    return context


def _at_most_1_2(context: ssl.SSLContext) -> ssl.SSLContext:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def _at_least_1_3(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _self_signed(now: datetime) -> trustme.Blob:
    """A certificate for the right host that nobody vouches for, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(_HOSTS[0]))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return trustme.Blob(private + certificate.public_bytes(serialization.Encoding.PEM))
