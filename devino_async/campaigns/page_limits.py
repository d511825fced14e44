"""Page limits: a service may answer with new rows for ever, so that pages are read up to a number of rows."""

from collections.abc import AsyncIterator

from ..protocol.details import DetailPage

__all__ = ["TooManyRows", "up_to"]

# A page counts as at least so many rows, because a service may also put one row on each.
_MIN_ROWS_A_PAGE = 100


class TooManyRows(Exception):
    """A look-up has more rows than are read."""


async def up_to(rows: int, pages: AsyncIterator[DetailPage]) -> AsyncIterator[DetailPage]:
    """Yield each page. Raises TooManyRows if another one comes when that many rows were read."""
    async for page in pages:
        if rows <= 0:
            raise TooManyRows
        rows -= max(len(page.rows), _MIN_ROWS_A_PAGE)
        yield page
