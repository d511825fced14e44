"""The README's code, run as it stands against the sandbox."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sybil import Sybil
from sybil.example import Example
from sybil.parsers.markdown import PythonCodeBlockParser

README = Path(__file__).parents[1] / "README.md"
SHELL = re.findall(r"^```sh\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in SHELL[2:] for line in block.splitlines()]
EXAMPLES: list[Example] = list(
    Sybil(parsers=[PythonCodeBlockParser()], path=str(README.parent), pattern=README.name).parse(README).examples()
)
NAMESPACE: dict[str, Any] = {"__name__": "readme"}


@pytest.mark.filterwarnings("ignore:unclosed DevinoClient:ResourceWarning")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line-{example.line}")
def test_python(example: Example, sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Python example of the README runs, with the ones before it."""
    monkeypatch.setenv("DEVINO_BASE_URL", sandbox_url)
    example.document.namespace.update(NAMESPACE)
    example.evaluate()
    NAMESPACE.update(example.document.namespace)


def test_a_million_in_small(sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's million, run with 40,000: one receipt each."""
    monkeypatch.setenv("DEVINO_BASE_URL", sandbox_url)
    outcomes = asyncio.run(NAMESPACE["send_a_million"](40_000))
    assert sum(outcomes.values()) == 40_000
    assert outcomes["NotSent"] == outcomes["Unconfirmed"] == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command: str, sandbox_url: str, tmp_path: Path) -> None:
    """Every command line of the README works as it stands."""
    rows = ["sender,to,text", *(f"MyCompany,7900000{number:04},Привет {number}" for number in range(1000, 1100))]
    (tmp_path / "campaign.csv").write_text("\n".join(rows), encoding="utf-8")
    (tmp_path / "ids.txt").write_text("3701172084729885952\n3701172084729885953\n", encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DEVINO_API_KEY": "any-key", "DEVINO_BASE_URL": sandbox_url}
    done = subprocess.run(
        command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_two_commands_come_first() -> None:
    """The first command sets up and runs the main job, the second sets up and passes the tests."""
    assert SHELL[0].strip().endswith("devino demo")
    assert "-m pytest" in SHELL[1]
    assert len(SHELL[0].splitlines()) == len(SHELL[1].splitlines()) == 1
