"""A progress bar on stderr, if that is a terminal. The commands decide what it counts.

rich is imported only for a terminal, because importing it takes 30 to 80 ms.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["counting"]

_STEP = 1_000


@contextmanager
def counting(what: str, total: int | None = None, *, step: int = _STEP) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each item. After each `step` items the display shows their number."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        done = 0

        def advance() -> None:
            # The display is refreshed ten times a second. Updating it for every message would cost more than sending.
            nonlocal done
            done += 1
            if done % step == 0:
                progress.update(task, completed=done)

        yield advance
        progress.update(task, completed=done)
