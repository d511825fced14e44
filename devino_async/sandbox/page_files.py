"""GET / and the files of the inbox. They are plain files in the folder `page`, sent as they are.

The headers let the inbox load its own files only, and run no script that is written into a document.
"""

from pathlib import Path

from aiohttp import web

__all__ = ["add_page"]

_FOLDER = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# The directives on trusted types make the browser itself refuse to turn a text into HTML.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def add_page(router: web.UrlDispatcher) -> None:
    """Add a route for each file of the inbox. The files are read once, so no path of a request reaches the disk."""
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix in _TYPES:
            answering = _File(path)
            router.add_get("/" if path.name == "index.html" else f"/page/{path.name}", answering.get)


class _File:
    """Answers with one file."""

    def __init__(self, path: Path) -> None:
        self._body = path.read_bytes()
        self._type = _TYPES[path.suffix]

    async def get(self, _: web.Request) -> web.Response:
        """Answer with the file."""
        return web.Response(body=self._body, content_type=self._type, charset="utf-8", headers=_HEADERS)
