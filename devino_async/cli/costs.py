"""What sending may cost: the price of a segment, the limits that the user sets, and the templates of the sender.

`devino check` and `devino send` share these options. What the rows cost is counted in campaigns/preflighting.py.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import field, frozen

from devino_async.campaigns import PreflightPass, SenderTemplates, read_sender_templates

from .console import counted

__all__ = ["Costs", "amount", "costing", "costs_of", "money"]

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_MAX_AMOUNT = 10**12
_LONGEST_AMOUNT = 40


def amount(value: str) -> Decimal:
    """Convert an amount of money, with a point or a comma before its decimals."""
    try:
        found = Decimal(value.strip().replace(",", ".") if len(value) <= _LONGEST_AMOUNT else "NaN")
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or not 0 <= found <= _MAX_AMOUNT:
        raise click.BadParameter("must be an amount of at least 0, such as 4.20")
    return found


def costing(command: F) -> F:
    """Add the options about costs."""
    for option in (
        click.option(
            "--templates",
            type=_FILE,
            metavar="FILE",
            help="The sender's registered templates, one a line, with %w{1,5} for words and %d+ for digits. Texts that "
            "match none are counted. Operators may bill those as advertising.",
        ),
        click.option("--max-cost", type=amount, metavar="X", help="Send nothing if it may cost more. Needs --price."),
        click.option("--max-segments", type=click.IntRange(0), metavar="N", help="Send nothing if it may be more."),
        click.option("--price", type=amount, metavar="P", help="The price of one segment, such as 4.20."),
    ):
        command = option(command)
    return command


def money(value: Decimal) -> str:
    """Return an amount as text: exact, with at least two decimals."""
    exponent = value.as_tuple().exponent
    return f"{value:,f}" if isinstance(exponent, int) and exponent <= -2 else f"{value:,.2f}"


@frozen
class Costs:
    """The options about costs."""

    price: Decimal | None
    max_segments: int | None
    max_cost: Decimal | None
    templates: SenderTemplates | None = field(repr=False)

    @property
    def are_limited(self) -> bool:
        """Whether there is a limit."""
        return self.max_segments is not None or self.max_cost is not None

    def counter(self, *, keep_sizes: bool = False) -> PreflightPass:
        """Return what counts the rows of a file."""
        return PreflightPass(price=self.price, templates=self.templates, keep_sizes=keep_sizes)

    def passed(self, segments: int) -> Iterator[str]:
        """Yield what to say about each limit that so many segments exceed."""
        if self.max_segments is not None and segments > self.max_segments:
            yield f"up to {counted(segments, 'segment')} would go out, and --max-segments is {self.max_segments:,}"
        if self.max_cost is not None and self.price is None:
            yield "no price is known, so nothing can be said about --max-cost"
        elif self.max_cost is not None and self.price is not None and segments * self.price > self.max_cost:
            yield f"it would cost up to {money(segments * self.price)}, and --max-cost is {money(self.max_cost)}"


def costs_of(options: dict[str, Any], *, learns: bool = False) -> Costs:
    """Return the options about costs. Raises click.UsageError if they cannot be used together.

    With `learns`, a price will be learnt later.
    """
    if options["max_cost"] is not None and options["price"] is None and not learns:
        raise click.UsageError("--max-cost needs --price, which is the price of one segment")
    templates = options["templates"]
    return Costs(
        options["price"],
        options["max_segments"],
        options["max_cost"],
        None if templates is None else read_sender_templates(templates),
    )
