"""The pytest plugin in projects of strangers: a folder, the installed package, and a few lines of test."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
PLUGIN = "devino_async.pytest_plugin"
PLAIN = ["-p", "no:asyncio", "-p", "no:anyio", "-p", "no:xdist"]
SEND = 'Message(sender="MyCompany", to="79000000001", text="Hello")'
# What a test may do with the client, each on an event loop of another kind. Every look-up is on a connection that a
# client of another kind would keep.
USES = {
    "never_used": "def test(devino_client): pass",
    "a_loop_that_is_closed": f"""
def test(devino_client, devino_sandbox):
    async def both():
        await devino_client.send({SEND})
        return await devino_client.account()
    asyncio.run(both())
    assert len(devino_sandbox.messages) == 1
""",
    "a_loop_that_is_open": f"""
loop = asyncio.new_event_loop()
def test(devino_client):
    loop.run_until_complete(devino_client.send({SEND}))
    loop.run_until_complete(devino_client.account())
def test_after():
    loop.close()
""",
    "a_loop_in_a_thread": f"""
loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever, daemon=True)
def test(devino_client):
    thread.start()
    asyncio.run_coroutine_threadsafe(devino_client.send({SEND}), loop).result()
    asyncio.run_coroutine_threadsafe(devino_client.account(), loop).result()
def test_after():
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
""",
    "closed_by_the_test": f"""
def test(devino_client):
    async def used():
        async with devino_client:
            await devino_client.send({SEND})
    asyncio.run(used())
""",
    "cut_short": """
def test(devino_client, devino_sandbox):
    devino_sandbox.faults.latency = 60
    async def hurried():
        async with asyncio.timeout(0.01):
            await devino_client.account()
    with pytest.raises(TimeoutError):
        asyncio.run(hurried())
""",
    "a_sandbox_that_is_stopped": f"""
def test(devino_client, devino_sandbox):
    asyncio.run(devino_client.send({SEND}))
    devino_sandbox.stop()
def test_never_used(devino_client, devino_sandbox):
    devino_sandbox.stop()
""",
    "from_the_environment": f"""
def test(devino_sandbox):
    async def app():
        async with DevinoClient() as client:
            await client.send({SEND})
    asyncio.run(app())
    assert devino_sandbox.wait_for(text="Hello").sender == "MyCompany"
""",
    "anew_for_each_test": f"""
@pytest.mark.parametrize("number", range(3))
def test(devino_client, devino_sandbox, number):
    assert devino_sandbox.messages == ()
    asyncio.run(devino_client.send({SEND}))
    devino_sandbox.assert_nothing_sent_twice()
""",
}
ASYNC = f"""
async def test(devino_client, devino_sandbox):
    waiting = asyncio.create_task(devino_sandbox.wait_for_async(to="+79000000001"))
    receipt = await devino_client.send({SEND})
    assert await devino_client.statuses([receipt.message_id])
    assert (await waiting).message_id == devino_sandbox.wait_for(timeout=5).message_id == receipt.message_id
def test_without(devino_client):
    asyncio.run(devino_client.send({SEND}))
"""
HEAD = "import asyncio, gc, threading\nimport pytest\nfrom devino_async import DevinoClient, Message\n"
# Whatever was left open warns when it is collected, and fails this test.
TAIL = "\ndef test_nothing_is_left_open():\n    gc.collect()\n    assert threading.active_count() == 1\n"


def stranger(folder: Path, tests: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """Run a stranger's tests, one file for each. Warnings are errors there too."""
    for name, source in tests.items():
        (folder / f"test_{name}.py").write_text(source, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN, *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def passed(folder: Path, tests: dict[str, str], *options: str) -> int:
    """Run a stranger's tests, which must pass, and return how many there were."""
    done = stranger(folder, tests, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    [count] = re.findall(r"^(\d+) passed", done.stdout, re.MULTILINE)
    return int(count)


def test_without_an_async_plugin(tmp_path: Path) -> None:
    """Without any async plugin the client is closed on whichever loop it was used, and nothing is left open.

    The README's test passes among them as it stands.
    """
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    [readme] = [block for block in blocks if "devino_sandbox" in block]
    uses = {name: HEAD + source + TAIL for name, source in USES.items()}
    assert passed(tmp_path, {**uses, "readme": readme}, *PLAIN) == 24


def test_with_pytest_asyncio(tmp_path: Path) -> None:
    """With pytest-asyncio, async tests await the client and the sandbox, and the others work as without it."""
    mode = ["-p", "no:anyio", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    assert passed(tmp_path, {"it": HEAD + ASYNC + TAIL}, *mode) == 3


def test_with_anyio(tmp_path: Path) -> None:
    """With anyio's plugin too."""
    marked = ASYNC.replace("async def test(", "@pytest.mark.anyio\nasync def test(")
    backend = '\n@pytest.fixture\ndef anyio_backend():\n    return "asyncio"\n'
    assert passed(tmp_path, {"it": HEAD + backend + marked + TAIL}, "-p", "no:asyncio") == 3


def test_under_xdist(tmp_path: Path) -> None:
    """Each process of xdist has sandboxes of its own."""
    source = HEAD + USES["anew_for_each_test"].replace("range(3)", "range(12)")
    assert passed(tmp_path, {"it": source}, "-n", "2", "-p", "no:asyncio", "-p", "no:anyio") == 12


def test_a_failure_is_told_without_secrets(tmp_path: Path) -> None:
    """A failure shows the line of the test, masked numbers and no texts, with the values of variables too."""
    done = stranger(
        tmp_path,
        {
            "it": f"""{HEAD}
def test_absent(devino_client, devino_sandbox):
    asyncio.run(devino_client.send({SEND.replace("Hello", "S" + "ecret")}))
    devino_sandbox.wait_for(to="79000000002", timeout=0.01)

def test_twice(devino_client, devino_sandbox):
    async def twice():
        for _ in range(2):
            await devino_client.send({SEND})
    asyncio.run(twice())
    devino_sandbox.assert_nothing_sent_twice()

async def waiting(devino_sandbox):
    devino_sandbox.wait_for(to="79000000002")

def test_on_a_loop(devino_sandbox):
    asyncio.run(waiting(devino_sandbox))
"""
        },
        *PLAIN,
        "--showlocals",
    )
    errors = re.findall(r"^E +(.+)$", done.stdout, re.MULTILINE)
    assert errors[0].startswith("TimeoutError: no message to 7900***0002 came to the sandbox in 0.01 s; the newest are")
    assert "NotSentOnce: sent more than once" in done.stdout
    assert "<2 times to 7900***0001 from MyCompany: " in done.stdout
    assert "RuntimeError: wait_for would block the event loop: use `await sandbox.wait_for_async(...)`" in done.stdout
    assert "threaded.py" not in done.stdout
    # Only the lines of the test's own source hold what it sent.
    told = [line for line in done.stdout.splitlines() if not line.lstrip().startswith((">", "asyncio.run", "await"))]
    assert not [line for line in told if "Secret" in line or "'79000000001'" in line]


def test_it_starts_light() -> None:
    """The plugin loads nothing of the package but itself, and no library beside pytest's own."""
    program = (
        "import pytest, sys\nbefore = set(sys.modules)\nimport devino_async.pytest_plugin\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["devino_async", PLUGIN]


def test_the_package_bears_what_pytest_does_to_it(tmp_path: Path) -> None:
    """pytest rewrites the assertions of every package that brings a plugin. All public names are there nevertheless."""
    rewrite = f'import pytest\npytest.register_assert_rewrite("devino_async")\npytest_plugins = ["{PLUGIN}"]\n'
    (tmp_path / "conftest.py").write_text(rewrite, encoding="utf-8")
    source = "from devino_async import *\nimport devino_async\n"
    source += "def test_names():\n    assert set(devino_async.__all__) <= set(globals())\n"
    source += "    assert '@pytest_ar' in vars(devino_async)\n"
    (tmp_path / "test_it.py").write_text(source, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *PLAIN]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
