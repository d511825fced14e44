"""`devino sandbox`: its inbox, and the browser that `--open` starts."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="a browser that is a shell script")
def test_open_starts_the_browser(tmp_path: Path) -> None:
    """`--open` opens the address of the inbox in the user's browser, and the inbox is there."""
    opened, browser = tmp_path / "opened", tmp_path / "browser"
    os.mkfifo(opened)
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "devino_async", "sandbox", "--port", "0", "--keep", "5", "--open", "--json"]
    environment = os.environ | {"BROWSER": f"{browser} %s"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as running:
        assert running.stdout is not None
        url = json.loads(running.stdout.readline())["url"]
        assert opened.read_text().strip() == f"{url}/"
        with urllib.request.urlopen(f"{url}/", timeout=10) as answer:
            assert b"Devino sandbox" in answer.read()
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 130 or running.returncode == 0
    assert f"{url}/" in said
