"""The private names of other libraries that a file of the package uses. Best effort, by the look of the code.

Which of them are allowed stands in test_internals.py.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import devino_async

ROOT = Path(devino_async.__file__).parent
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
# Documented, in spite of the underscore.
DOCUMENTED = {"_exit"}


def foreign_names(path: Path) -> set[str]:
    """Return the names of all kinds together."""
    kinds = (private_attributes, private_imports, undocumented, inherited_names)
    return {name for find in kinds for name in find(path)} - DOCUMENTED


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


@cache
def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


def own_names(tree: ast.AST) -> set[str]:
    """The names that a piece of code defines: functions, classes, variables, attributes, slots."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                found |= {each.value for each in ast.walk(value) if isinstance(each, ast.Constant)}
    return found


@cache
def names_of_the_house() -> set[str]:
    return set[str]().union(*(own_names(tree_of(path)) for path in FILES))


def private_attributes(path: Path) -> Iterator[str]:
    """Private attributes that nothing of ours defines: of `self` anywhere, of other objects in the same file."""
    here = own_names(tree_of(path))
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                known = names_of_the_house()
            case ast.Attribute(attr=name):
                known = here
            case ast.Call(func=ast.Name(id="getattr" | "setattr"), args=[_, ast.Constant(value=str(name)), *_]):
                known = here
            case _:
                continue
        if is_private(name) and name not in known:
            yield name


def private_imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.ImportFrom(module=str(module), names=names, level=0):
                parts = [*module.split("."), *(each.name for each in names)]
            case ast.Import(names=names):
                parts = [part for each in names for part in each.name.split(".")]
            case _:
                continue
        yield from filter(is_private, parts)


def undocumented(path: Path) -> Iterator[str]:
    """Changed classes, counted references, and what typeshed does not know."""
    for node in ast.walk(tree_of(path)):
        match node:
            case ast.Attribute(attr="__class__" as name, ctx=ast.Store()) | ast.Constant(value="__class__" as name):
                yield name
            case ast.Attribute(attr="getrefcount" as name) | ast.Constant(value="getrefcount" as name):
                yield name
    for line in text_of(path).splitlines():
        code, _, reason = line.partition("# type: ignore[")
        if "attr-defined" in reason:
            yield re.findall(r"\w+", code.partition("(")[0])[-1]


@cache
def private_names_of(stranger: type) -> set[str]:
    try:
        source = inspect.getsource(stranger)
    except (OSError, TypeError):  # It is not written in Python.
        source = ""
    return set(filter(is_private, [*vars(stranger), *re.findall(r"self\.(_\w+)", source)]))


def inherited_names(path: Path) -> Iterator[str]:
    """Private names of a foreign class that a subclass of ours sets, calls or overrides."""
    module = import_module(".".join(("devino_async", *path.with_suffix("").parts)).removesuffix(".__init__"))
    for node in ast.walk(tree_of(path)):
        made = vars(module).get(node.name) if isinstance(node, ast.ClassDef) else None
        if isinstance(made, type):
            ours = own_names(node) | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            for each in made.__mro__:
                if each.__module__.partition(".")[0] not in {"devino_async", "builtins"}:
                    yield from ours & private_names_of(each)
