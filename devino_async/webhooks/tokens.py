"""Tokens: the secrets in a receiver's address, and how they are made, found, checked and compared.

Nothing here logs or shows a token. What a request with the right token may do is in receiver.py.
"""

import hmac
import re
import secrets
from hashlib import sha256
from urllib.parse import parse_qs

from ..errors import ConfigurationError

__all__ = ["Tokens", "new_token", "token_of"]

# 32 random bytes are 43 characters of base64, or 64 hexadecimal digits.
_STRONG = re.compile(r"(?![0-9A-Fa-f]{0,63}\Z)[A-Za-z0-9._~-]{43,512}", re.ASCII)


def new_token() -> str:
    """Return a new token for a receiver's address: 32 random bytes, safe in URLs."""
    return secrets.token_urlsafe(32)


def token_of(path: str, query: str) -> str:
    """Return the token in an address: `token=` in the query if it is there, else the last part of the path.

    The query is passed still encoded, the path decoded. One slash at the end of the path is ignored. One at the end of
    the token is ignored by the class Tokens.
    """
    last = path.removesuffix("/").rpartition("/")[2]
    return parse_qs(query).get("token", [last])[0]


class Tokens:
    """Digests of the tokens that let a request in, given as a str or a list. A weak token is a ConfigurationError.

    A right token stays right with one slash after it, because the address in a request may end with a slash.
    """

    def __init__(self, given: object) -> None:
        tokens = given if isinstance(given, list | tuple) else [given]
        if not tokens or not all(isinstance(each, str) and _STRONG.fullmatch(each) for each in tokens):
            raise ConfigurationError(
                "token must be a str (or a list of them) from new_token(), or equally strong and URL-safe"
            )
        self._digests = [_digest(each) for each in tokens]

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, token: object) -> bool:
        given = _digest(str(token).removesuffix("/"))
        known = False
        for each in self._digests:
            # Every token is compared, so that the response time reveals nothing about which one is right.
            known |= hmac.compare_digest(given, each)
        return known


def _digest(token: object) -> bytes:
    # All digests have one length, so neither the token's length nor odd characters in it make a difference.
    return sha256(str(token).encode("utf-8", "surrogatepass")).digest()
