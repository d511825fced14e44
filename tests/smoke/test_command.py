"""Smoke: the devino command as a program, each command's help, and a file that goes out."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devino_async.sandbox import Sandbox

pytestmark = pytest.mark.needs("click", "rich")


async def run(*arguments: str, url: str = "http://127.0.0.1:1") -> str:
    """Return what the command prints. It must end in 0 and warn of nothing."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "devino_async", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "DEVINO_API_KEY": "right", "DEVINO_BASE_URL": url},
    )
    printed, told = await program.communicate()
    assert program.returncode == 0, told.decode()
    return printed.decode()


def test_the_command_is_installed() -> None:
    """The package brings `devino` beside its Python."""
    devino = shutil.which("devino", path=Path(sys.executable).parent)
    assert devino is not None
    assert subprocess.run([devino, "--version"], capture_output=True, text=True, check=True).stdout.startswith("devino")


async def test_help() -> None:
    """Every command of the list has a help of its own."""
    section = (await run("--help")).partition("Commands:\n")[2].partition("\n\n")[0]
    commands = [line.split()[0] for line in section.splitlines() if line[2:3].strip()]
    assert {"demo", "send", "status"} <= set(commands)
    for shown in await asyncio.gather(*(run(command, "--help") for command in commands)):
        assert "--help" in shown


async def test_demo() -> None:
    """The demo runs a campaign of its own, for eyes and as JSON."""
    shown, told = await asyncio.gather(run("demo", "--messages", "50"), run("demo", "--messages", "50", "--json"))
    assert "The campaign" in shown
    assert json.loads(told)["outcomes"]["accepted"] == 50


async def test_a_file(sandbox: Sandbox, tmp_path: Path) -> None:
    """A file goes out, and what was sent is found again by every other command."""
    rows = ["sender,to,text", *(f"MyCompany,7900000{number},Привет {number}" for number in range(1000, 1050))]
    (tmp_path / "campaign.csv").write_text("\n".join(rows), encoding="utf-8")
    sent = await run("send", str(tmp_path / "campaign.csv"), "--json", url=sandbox.url)
    receipts = [json.loads(line) for line in sent.splitlines()]
    assert [receipt["outcome"] for receipt in receipts] == ["accepted"] * 50
    period = ("--from", "2020-01-01", "--to", "2090-01-01")
    some = [receipt["message_id"] for receipt in receipts[:5]]
    statuses, details, stats, account = await asyncio.gather(
        run("status", *some, url=sandbox.url),
        run("details", *period, "--json", url=sandbox.url),
        run("stats", *period, "--group-by", "year", url=sandbox.url),
        run("account", url=sandbox.url),
    )
    assert all(each in statuses for each in some)
    assert len(details.splitlines()) == 50
    assert stats
    assert account
