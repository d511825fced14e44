"""The house rules: who may import what, no circles, one front door, one family of errors."""

import ast
import compileall
import importlib
import inspect
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import devino_async
from devino_async import campaigns, sandbox
from devino_async.errors import DevinoError

ROOT = Path(devino_async.__file__).parent
# room -> the rooms of the house that it may import from; its own folder is always allowed.
MAY_IMPORT = {
    "": {"client", "errors", "events", "protocol", "tracking", "transport", "webhooks"},
    "__main__": {"cli"},
    "redaction": set(),
    "errors": {"redaction"},
    "exchange": {"errors", "redaction"},
    "checks": {"errors"},
    "events": {"errors"},
    "version": set(),
    "protocol": {"checks", "exchange", "errors", "redaction"},
    "flow": {"errors"},
    "transport": {"checks", "exchange", "errors", "events", "redaction", "version"},
    "client": {"campaigns", "checks", "flow", "protocol", "transport", "events", "exchange", "errors", "redaction"},
    "campaigns": {"checks", "errors", "exchange", "flow", "protocol", "redaction", "storage"},
    "cli": {"", "campaigns", "contrib", "redaction", "sandbox", "version"},
    "webhooks": {"checks", "flow", "protocol", "errors", "events", "redaction"},
    "storage": {"errors"},
    "tracking": {"checks", "protocol", "errors", "storage"},
    "contrib": {"webhooks"},
    "sandbox": set(),
    "pytest_plugin": {"", "client", "sandbox"},
}
# The libraries of each room, and those modules of Python whose place matters: no clock and no loop where things are
# pure, no JSON at the seam.
WATCHED = {"asyncio", "json", "sqlite3", "time"}
MAY_USE: dict[str, set[str]] = {
    "": set(),
    "__main__": {"click", "rich"},
    "redaction": {"attrs", "json"},
    "errors": set(),
    "exchange": {"attrs"},
    "checks": set(),
    "events": {"asyncio", "attrs"},
    "version": set(),
    "protocol": {"attrs", "cattrs", "json"},
    "flow": {"asyncio", "attrs", "time"},
    "transport": {"aiohttp", "asyncio", "attrs", "tenacity", "yarl"},
    "client": {"asyncio", "attrs", "time"},
    "campaigns": {"asyncio", "attrs", "json", "phonenumbers", "python_calamine", "sqlite3", "time"},
    "cli": {"asyncio", "attrs", "click", "json", "rich", "sqlite3", "time"},
    "webhooks": {"asyncio"},
    "storage": {"asyncio", "sqlite3", "time"},
    "tracking": {"asyncio", "attrs", "json", "sqlite3", "time"},
    "contrib": {"aiohttp", "asyncio", "django", "starlette"},
    "sandbox": {"aiohttp", "asyncio", "attrs", "json", "multidict", "sqlite3", "time", "yarl"},
    "pytest_plugin": {"asyncio", "pytest"},
}
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def module_of(path: Path) -> tuple[str, ...]:
    parts = path.with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def room_of(path: Path) -> str:
    parts = path.with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def imports_of(path: Path) -> set[tuple[str, ...]]:
    """The absolute dotted names that a file imports, those for type checkers included."""
    package = ("devino_async", *path.parts[:-1])
    found: set[tuple[str, ...]] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            found |= {(*base, alias.name) for alias in node.names}
    return found


def house_rooms(path: Path) -> set[str]:
    rooms = set()
    for name in imports_of(path):
        if name[0] == "devino_async":
            inside = name[1:]
            known = inside and ((ROOT / inside[0]).is_dir() or (ROOT / f"{inside[0]}.py").exists())
            rooms.add(inside[0] if known else "")
    return rooms


def libraries_of(path: Path) -> set[str]:
    """The libraries that a file imports, and the watched modules of Python."""
    top = {name[0] for name in imports_of(path)} - {"devino_async"}
    return {name for name in top if name in WATCHED or name not in sys.stdlib_module_names}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_rooms(path: Path) -> None:
    """Each room imports only from the rooms that the architecture allows, type-checking imports included."""
    room = room_of(path)
    assert room in MAY_IMPORT, f"{room} is no room of the house"
    strangers = house_rooms(path) - MAY_IMPORT[room] - {room}
    assert not strangers, f"{path} may not import from {strangers}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_libraries(path: Path) -> None:
    """Each room uses only the libraries that the architecture gives it."""
    used = libraries_of(path) - MAY_USE[room_of(path)]
    assert not used, f"{path} may not use {used}"


def test_no_rule_allows_more_than_is_used() -> None:
    """A permission that no file needs any more is taken out of the tables."""
    for table, used_by in ((MAY_IMPORT, house_rooms), (MAY_USE, libraries_of)):
        used: dict[str, set[str]] = {room: set() for room in table}
        for path in FILES:
            used[room_of(path)] |= used_by(path) - {room_of(path)}
        assert used == table


def test_no_circles() -> None:
    """No module imports itself through others."""
    modules = {module_of(path): path for path in FILES}
    edges: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for module, path in modules.items():
        names = {name[1:] for name in imports_of(path) if name[0] == "devino_async"}
        targets = {name if name in modules else name[:-1] for name in names}
        edges[module] = {target for target in targets if target in modules and target != module}
        if path.name == "__init__.py":
            # A package's front lists its own parts; the parts may name the package without a circle.
            edges[module] = {target for target in edges[module] if target[: len(module)] != module or not module}
    done: set[tuple[str, ...]] = set()

    def visit(module: tuple[str, ...], trail: tuple[tuple[str, ...], ...]) -> None:
        assert module not in trail, f"circle: {[*trail, module]}"
        if module not in done:
            for target in sorted(edges[module]):
                visit(target, (*trail, module))
            done.add(module)

    for module in sorted(edges):
        if module:
            visit(module, ())


def test_front_door() -> None:
    """The imports that type checkers see are what is loaded, listed and shown: names are written there only."""
    [seen] = [each for each in ast.parse(inspect.getsource(devino_async)).body if isinstance(each, ast.If)]
    imports = [each for each in seen.body if isinstance(each, ast.ImportFrom)]
    homes = {alias.name: f".{each.module}" for each in imports for alias in each.names}
    assert len(imports) == len(seen.body)
    assert homes == devino_async._homes()
    assert sorted(homes) == devino_async.__all__
    for name, home in homes.items():
        value = getattr(devino_async, name)
        assert value is getattr(importlib.import_module(home, "devino_async"), name)
        assert name in dir(devino_async)
    with pytest.raises(AttributeError, match="no_such_name"):
        devino_async.no_such_name  # noqa: B018
    with pytest.raises(AttributeError, match="import_modul"):
        devino_async.import_modul  # noqa: B018


@pytest.mark.parametrize("room", [campaigns, sandbox], ids=["campaigns", "sandbox"])
def test_doors_of_rooms(room: ModuleType) -> None:
    """The names that type checkers see in a room with a lazy door are what is loaded, listed and shown there."""
    [seen] = [each for each in ast.parse(inspect.getsource(room)).body if isinstance(each, ast.If)]
    imports = [each for each in seen.body if isinstance(each, ast.ImportFrom)]
    homes = {alias.name: "." * each.level + str(each.module) for each in imports for alias in each.names}
    assert homes == room._HOMES
    assert sorted(homes) == room.__all__
    for name, home in homes.items():
        assert getattr(room, name) is getattr(importlib.import_module(home, room.__name__), name)
        assert name in dir(room)
    with pytest.raises(AttributeError, match="no_such_name"):
        room.no_such_name  # noqa: B018


def test_files_are_read_without_a_database() -> None:
    """Reading a file of messages loads no sqlite."""
    program = "import sys; from devino_async.campaigns import read_messages; assert 'sqlite3' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("door", [devino_async, campaigns, sandbox], ids=["front", "campaigns", "sandbox"])
def test_front_door_is_explicit(door: ModuleType) -> None:
    """Every name is imported `as` itself: strict type checkers refuse to import from here what is not."""
    [seen] = [each for each in ast.parse(inspect.getsource(door)).body if isinstance(each, ast.If)]
    aliases = [alias for each in seen.body if isinstance(each, ast.ImportFrom) for alias in each.names]
    assert [alias.name for alias in aliases] == [alias.asname for alias in aliases]


def test_front_door_opens_what_is_asked_for() -> None:
    """Importing the package, or making messages, loads no network library: programs start fast."""
    program = (
        "import sys, devino_async; assert not {'attrs', 'dis'} & set(sys.modules); devino_async.Message; "
        "assert not {'aiohttp', 'cattrs', 'tenacity', 'asyncio'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_front_door_opens_wide() -> None:
    """`from devino_async import *` gives every public name and nothing else."""
    names: dict[str, object] = {}
    exec("from devino_async import *", names)
    assert {*names} - {"__builtins__"} == set(devino_async.__all__)


def test_front_door_needs_no_source(tmp_path: Path) -> None:
    """Names are found where only compiled files are installed, as frozen programs have them."""
    there = tmp_path / "devino_async"
    shutil.copytree(ROOT, there, ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(there, quiet=1, legacy=True)
    for path in there.rglob("*.py"):
        path.unlink()
    program = "import devino_async; assert devino_async.__file__.endswith('.pyc'); devino_async.Message"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": "."})


def test_one_family_of_errors() -> None:
    """Every public error derives from DevinoError, and every error that is not private can be imported at a door."""
    for name in devino_async.__all__:
        value = getattr(devino_async, name)
        if isinstance(value, type) and issubclass(value, BaseException):
            assert issubclass(value, DevinoError), name
    for name, value in vars(importlib.import_module("devino_async.errors")).items():
        if isinstance(value, type) and issubclass(value, DevinoError) and not name.startswith("_"):
            assert name in devino_async.__all__ or name in campaigns.__all__, name


@pytest.mark.parametrize("path", FILES, ids=str)
def test_modules_say_what_they_are(path: Path) -> None:
    """Every module opens with a docstring, keeps to 350 lines, and is not called after nothing."""
    text = (ROOT / path).read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "no docstring"
    assert text.count("\n") <= 350, "too long"
    assert not {"utils", "helpers", "common", "base", "manager"} & set(path.with_suffix("").parts)


def test_client_stays_thin() -> None:
    """The joining file stays under 300 lines."""
    assert (ROOT / "client" / "client.py").read_text(encoding="utf-8").count("\n") <= 300


def test_every_module_can_be_imported_alone() -> None:
    """Every module imports without the extras of the command line, which are asked for only when it runs."""
    for found in pkgutil.walk_packages([str(ROOT)], "devino_async."):
        if not found.name.startswith(("devino_async.cli", "devino_async.contrib")):
            importlib.import_module(found.name)


def test_typed() -> None:
    """The package carries the marker that type checkers look for."""
    assert (ROOT / "py.typed").exists()
