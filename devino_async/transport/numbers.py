"""One check for the numbers in options: of the right kind, finite, and not below their least value."""

from ..errors import ConfigurationError

__all__ = ["require_number"]


def require_number(name: str, value: object, *, least: float, whole: bool = False, above: bool = False) -> None:
    """Raise ConfigurationError, naming the option, for anything but such a number; True and False are none."""
    kinds = (int,) if whole else (int, float)
    good = isinstance(value, kinds) and not isinstance(value, bool) and least <= value < float("inf")
    if not good or (above and value == least):
        what = "a whole number" if whole else "a finite number"
        raise ConfigurationError(f"{name} must be {what} {'above' if above else 'of at least'} {least:g}")
