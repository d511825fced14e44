"""The README's chapter about costs: its file, its command and what it shows, and its Python."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
CHAPTER = README.read_text(encoding="utf-8").partition("\n## Before you pay\n")[2].partition("\n## ")[0]


def block(language: str) -> str:
    """The only block of a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", CHAPTER, re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_check(tmp_path: Path) -> None:
    """The file of the README, checked as it says without an account and a network, costs what it shows."""
    rows, _, rest = block("console").removeprefix("$ cat orders.csv\n").partition("$ ")
    (tmp_path / "orders.csv").write_text(rows, encoding="utf-8")
    command, _, shown = rest.partition("\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEVINO_")}
    done = subprocess.run(
        [sys.executable, "-m", "devino_async", *shlex.split(command)[1:]],
        cwd=tmp_path,
        env=environment | {"DEVINO_BASE_URL": "http://127.0.0.1:9", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(shown.removesuffix("...\n"))
    assert done.stdout.count("7900") == 0


def test_its_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The README's Python counts what its command counts."""
    (tmp_path / "clients.xlsx").write_bytes((Path(__file__).parent / "clients.xlsx").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(block("python"), README.name, "exec", dont_inherit=True), {"__name__": "readme"})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("2 1 Culprit(position=10, character='’', name='RIGHT SINGLE QUOTATION MARK')")
    assert second == "5 4 10 42.00"
