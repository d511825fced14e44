"""The guard against web pages of other sites.

Such a page must read nothing by a host name that it points at this machine. That holds for the API too, because any
key is accepted. Nor must it POST to the sandbox's own routes, `/` and `/_sandbox`, which need no credentials.
"""

from aiohttp import web
from yarl import URL

from .envelope import Refusal
from .loopback import is_loopback

__all__ = ["check_host", "check_origin", "is_own_route"]


def is_own_route(path: str) -> bool:
    """Return whether a path belongs to the sandbox itself and not to the API."""
    return path == "/" or path.startswith(("/_sandbox/", "/page/"))


def check_host(request: web.Request, own_host: str) -> None:
    """Raise Refusal unless the request names this machine, or the host that the sandbox listens on."""
    host = request.headers.get("Host", "")
    if is_loopback(f"http://{host}"):
        return
    try:
        named = URL(f"http://{host}").host
    except ValueError:
        named = None
    if named is None or named != own_host.lower():
        raise Refusal("forbidden", "Host", "use the address that the sandbox printed, such as 127.0.0.1", 403)


def check_origin(request: web.Request) -> None:
    """Raise Refusal if a page of another site makes the request."""
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{request.headers.get('Host', '')}":
        raise Refusal("forbidden", "Origin", "only the sandbox's own page may call this", 403)
