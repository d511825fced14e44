"""The check for addresses of this machine. The sandbox sends nothing to other addresses."""

from functools import lru_cache
from ipaddress import ip_address

from yarl import URL

__all__ = ["is_loopback"]


@lru_cache(maxsize=1024)
def is_loopback(url: str) -> bool:
    """Return whether an http or https URL names this machine. It is parsed as the HTTP client would parse it."""
    try:
        address = URL(url)
        host = address.host or ""
        return address.scheme in {"http", "https"} and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False
