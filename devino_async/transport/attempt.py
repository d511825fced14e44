"""Attempt: the evidence of one request, and the answer or the error that it proves.

The pool carries out the request and notes here what it sees. verdict.py decides what the facts prove, and retry.py
whether the call is made again. aiohttp's exceptions go no further than this file. They are put into words, and no
error of ours keeps one.
"""

import asyncio
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime

import aiohttp

from ..errors import BadAnswer, CallFailed, OutcomeUnknown, RequestNotSent, ServerFailed, TooManyRequests
from ..exchange import Answer, Call
from ..redaction import Redaction
from .answers import TooLong, UnknownCoding, wait_asked_for
from .ledger import Handed, Ledger
from .verdict import Decision, Evidence, Verdict, decide

__all__ = ["Attempt"]

# How many bytes of an answer are searched for ids in one step.
_SEARCHED_A_STEP = 131_072

_NEVER_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)
_PERMANENT = (aiohttp.ClientConnectorCertificateError, aiohttp.ServerFingerprintMismatch, aiohttp.InvalidURL)


class Attempt:
    """The facts of one attempt, noted as they happen, and the conclusion from them.

    Errors are returned here, not raised. A traceback keeps every frame that its error passed through, with all
    locals, and the frames of this file hold the raw answer.
    """

    def __init__(self, call: Call, redaction: Redaction) -> None:
        self.call = call
        self.ledger = Ledger()
        self.body = bytearray()
        self._redaction = redaction
        self._status: int | None = None
        self._content_type = ""
        self._retry_after: float | None = None
        self._whole = False
        self._problem = ""
        self._permanent = False
        if call.body is None:
            self.ledger.handed = Handed.ALL

    def begun(self, status: int, headers: Mapping[str, str]) -> None:
        """Note the status line and the headers of the answer."""
        self._status = status
        self._content_type = headers.get("Content-Type", "")
        self._retry_after = wait_asked_for(headers.get("Retry-After"), headers.get("Date"), datetime.now(UTC))

    def finished(self) -> None:
        """Note that the answer was read to its end."""
        self._whole = True
        self.ledger.seal()

    def failed(self, error: Exception) -> None:
        """Note what ended the attempt without a complete answer.

        For a send, the class of the error proves nothing. It only says whether another attempt can help. For a look-up
        it also says whether there was a connection.
        """
        self._problem = _in_words(error)
        self._permanent = isinstance(error, _PERMANENT) or _refused_by_proxy(error)
        if self.call.body is None and isinstance(error, _NEVER_CONNECTED):
            self.ledger.handed = Handed.NOTHING

    def kept_by_proxy(self) -> None:
        """Note that a proxy demanded a password instead of passing the request on, so the service has none of it."""
        self.ledger.seal()
        self.ledger.handed = Handed.NOTHING
        self._problem = "the proxy answered 407"
        self._permanent = True

    def cut_short(self) -> None:
        """Note that closing the client ended the attempt."""
        self._problem = "cut short because the client was closed"
        self._permanent = True

    def outcome(self) -> Answer | CallFailed:
        """Return the answer, or the error that the evidence proves."""
        # Sealed first: what the ledger says must still be true when the verdict is acted upon.
        handed = self.ledger.seal()
        body = bytes(self.body)
        evidence = Evidence(
            handed=handed,
            status=self._status if self._whole else None,
            carries_result=self._whole and 400 <= (self._status or 0) < 500 and self.call.carries_result(body),
            permanent=self._permanent,
        )
        decision = decide(evidence, repeatable=self.call.repeatable)
        answer = Answer(
            status=self._status or 0,
            body=body,
            content_type=self._content_type,
            redaction=self._redaction.for_request(self.call.body or (), self.call.query),
        )
        if decision.verdict is Verdict.READ and (not self.call.repeatable or _looks_like_json(body)):
            return answer
        return self._error(decision, answer)

    async def ids(self) -> tuple[str, ...]:
        """Return the ids in an untrusted answer to a send. Other tasks run while a long one is searched."""
        body = bytes(self.body)
        found: list[str] = []
        at = 0
        try:
            while at < len(body) and not self.call.repeatable:
                # Cut after the end of an object, so that no id is cut in two.
                end = body.find(b"}", at + _SEARCHED_A_STEP) + 1 or len(body)
                found += self.call.ids_in(body[at:end])
                at = end
                if at < len(body):
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            # Only closing cancels this task. The ids are all that is known of these messages, so finish at once. The
            # retry layer sees that the task was cancelled and begins nothing more.
            return self.call.ids_in(body)
        return tuple(found)

    def _error(self, decision: Decision, answer: Answer) -> CallFailed:
        if decision.verdict is Verdict.REFUSED:
            error = self.call.refusal(answer, self.call.operation)
        else:
            kind, problem = self._kind(decision.verdict)
            error = kind(
                problem,
                operation=self.call.operation,
                status=self._status,
                body=answer.excerpt() if self._status is not None else None,
            )
        error.retriable = decision.retry or decision.verdict is Verdict.READ
        error.permanent = self._permanent
        if isinstance(error, TooManyRequests):
            error.retry_after = self._retry_after
        return error

    def _kind(self, verdict: Verdict) -> tuple[type[CallFailed], str]:
        if verdict is Verdict.UNSENT:
            return RequestNotSent, self._problem or "the service answered before it had the whole request"
        if verdict is Verdict.READ:
            return BadAnswer, "the answer is not JSON"
        if not self._whole:
            return OutcomeUnknown, self._problem
        if self._status is not None and self._status >= 500:
            return ServerFailed, "the service failed"
        return OutcomeUnknown, "the answer does not say what became of the call"


def _looks_like_json(body: bytes) -> bool:
    text = body.strip(b"\xef\xbb\xbf \t\r\n")
    return text[:1] in {b"{", b"["} and text[-1:] in {b"}", b"]"}


def _refused_by_proxy(error: Exception) -> bool:
    """Return whether a proxy said no in a way that another attempt will not change, such as 407."""
    return (
        isinstance(error, aiohttp.ClientHttpProxyError) and 400 <= error.status < 500 and error.status not in {408, 429}
    )


def _in_words(error: Exception) -> str:
    """Return what happened, without an address, a header or a body: aiohttp's own texts hold all of them."""
    if isinstance(error, TooLong):
        return "the answer is longer than this call allows"
    if isinstance(error, UnknownCoding):
        return "the answer is compressed in an unknown way"
    why = _reason(error)
    return f"no complete answer ({type(error).__name__}{f': {why}' if why else ''})"


def _reason(error: Exception) -> str | None:
    """Return why a connection failed. No errno describes TLS and DNS failures, so they get texts of their own."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        refused = error.certificate_error
        return refused.verify_message if isinstance(refused, ssl.SSLCertVerificationError) else "certificate refused"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the host name is not known"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return getattr(error.os_error, "reason", None) or "TLS failed"
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if isinstance(number, int) and number > 0 else None
