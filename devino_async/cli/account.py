"""`devino account`: the balance and what else the account says."""

import attrs
import click

from .running import as_json, connection, run

__all__ = ["account"]


@click.command(epilog="Example: devino account --json")
@click.option("--json", "json_lines", is_flag=True, help="One line of JSON on stdout.")
@connection
def account(json_lines: bool, **credentials: str | None) -> None:
    """The account that the credentials belong to. Amounts are exact."""
    run(_show(json_lines, credentials))


async def _show(json_lines: bool, credentials: dict[str, str | None]) -> None:
    from devino_async import DevinoClient  # noqa: PLC0415

    async with DevinoClient(**credentials) as devino:  # type: ignore[arg-type]
        found = attrs.asdict(await devino.account())
    extra = found.pop("extra")
    if json_lines:
        click.echo(as_json(found | extra))
        return
    for name, value in found.items():
        if value is not None:
            shown = ", ".join(value) if isinstance(value, tuple) else value
            click.echo(f"{name.replace('_', ' '):22} {shown}")
