"""Checks of options, with one wording for each kind of mistake. Each raises ConfigurationError and names the option.

Fields of messages and queries are checked in protocol/, which finds all problems at once.
"""

from collections.abc import Callable
from typing import Any

from .errors import ConfigurationError

__all__ = ["OneLoop", "require_callable", "require_kind", "require_number"]


def require_number(
    name: str,
    value: object,
    *,
    minimum: float = 0,
    maximum: float | None = None,
    above: bool = False,
    whole: bool = False,
    unit: str = "",
) -> None:
    """Check that a number is finite and from `minimum` to `maximum`. True and False are not numbers.

    With `above` the minimum itself is too small. With `whole` a float is refused. `unit` is named in the error.
    """
    kinds = (int,) if whole else (int, float)
    good = isinstance(value, kinds) and not isinstance(value, bool) and minimum <= value < float("inf")
    if good and not (above and value == minimum) and (maximum is None or value <= maximum):  # type: ignore[operator]
        return
    what = f"a {'whole' if whole else 'finite'} number{f' of {unit}' if unit else ''}"
    raise ConfigurationError(f"{name} must be {what} {_range(minimum, maximum, above)}")


def _range(minimum: float, maximum: float | None, above: bool) -> str:
    if maximum is None:
        return f"{'above' if above else 'of at least'} {minimum:,}"
    return f"above {minimum:,} and at most {maximum:,}" if above else f"from {minimum:,} to {maximum:,}"


def require_kind(name: str, value: object, *kinds: type[Any], optional: bool = False) -> None:
    """Check that a value is an instance of one of the kinds, or None where the option is optional."""
    if isinstance(value, kinds) or (optional and value is None):
        return
    wanted = " or ".join([*(kind.__name__ for kind in kinds), *(["None"] if optional else [])])
    raise ConfigurationError(f"{name} must be {wanted}, not {type(value).__name__}")


def require_callable(name: str, value: Callable[..., object] | None) -> None:
    """Check that a hook can be called, or is None."""
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} must be callable, not {type(value).__name__}")


class OneLoop:
    """The event loop on which an object is used: the one that runs at its first use.

    With `may_move` the object may move to another loop once the first is closed. Two loops in two threads never work,
    because one cannot wake a waiter of the other.
    """

    def __init__(self, what: str, *, may_move: bool = False) -> None:
        self._what = what
        self._may_move = may_move
        self._bound: dict[str, Any] = {}

    def check(self, running: Any) -> None:
        """Check that the running loop is the right one. Raises ConfigurationError."""
        # setdefault is one step, so two threads cannot both be the first.
        bound = self._bound.setdefault("loop", running)
        if bound is not running and self._may_move and bound.is_closed():
            self._bound["loop"] = bound = running
        if bound is not running:
            raise ConfigurationError(
                f"this {self._what} is in use on another event loop, and can only be used on one. Under WSGI or from "
                "threads, run one loop in a thread and call asyncio.run_coroutine_threadsafe(coroutine, loop).result()"
            )
