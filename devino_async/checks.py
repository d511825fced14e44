"""Checks of options, with one wording for each kind of mistake. Each raises ConfigurationError and names the option.

Fields of messages and queries are checked in protocol/, which finds all problems at once.
"""

from collections.abc import Callable
from typing import Any

from .errors import ConfigurationError

__all__ = ["require_callable", "require_kind", "require_number"]


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
