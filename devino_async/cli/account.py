"""`devino account`: the balance and other facts about the account."""

from typing import Any

import attrs
import click

import devino_async

from .console import as_json, printable, run
from .options import connection, connection_of

__all__ = ["account"]


@click.command(epilog="Example: devino account --json")
@click.option("--json", "json_lines", is_flag=True, help="One line of JSON on stdout.")
@connection
def account(json_lines: bool, **options: Any) -> None:
    """Show the account that the credentials belong to. Amounts are exact."""
    run(_show(json_lines, options))


async def _show(json_lines: bool, options: dict[str, Any]) -> None:
    async with devino_async.DevinoClient(**connection_of(options)) as devino:
        found = attrs.asdict(await devino.account())
    extra = found.pop("extra")
    if json_lines:
        click.echo(as_json({**extra, **found}))
        return
    for name, value in found.items():
        if value is not None:
            shown = ", ".join(value) if isinstance(value, tuple | list) else value
            click.echo(f"{name.replace('_', ' '):22} {printable(shown)}")
