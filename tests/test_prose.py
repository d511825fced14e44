"""The measurable part of plain English, over the package. Counts by room: python tests/test_prose.py [FOLDER]"""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "devino_async"
# These bounds may only fall.
MAX_SEMICOLONS = 0.01
MAX_NOBODIES = 0.003
MIN_COMMENTS = 0.03

_POINT = r"(?:- |\d+\. )"
_SENTENCE_ENDS = re.compile(rf"(?<=[.!?])[\"')]*\s+{_POINT}?|\n\s*{_POINT}|\n\s*\n")
_NOBODIES = re.compile(r"\b(?:nobody|whoever|those who|is no)\b", re.IGNORECASE)
_THE_PAGE = re.compile(r"\bthe page", re.IGNORECASE)
_NAMED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """The line and the text of every docstring, those below a name that was given a value included."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, _NAMED):
            continue
        for before, each in zip([None, *node.body], node.body, strict=False):
            if before is not None and not isinstance(before, ast.Assign | ast.AnnAssign):
                continue
            if (
                isinstance(each, ast.Expr)
                and isinstance(each.value, ast.Constant)
                and isinstance(each.value.value, str)
            ):
                yield each.lineno, each.value.value


def sentences(text: str) -> list[str]:
    """Split a docstring. A point of a list is a sentence of its own."""
    return [" ".join(each.split()) for each in _SENTENCE_ENDS.split(text) if each.strip()]


def findings(root: Path) -> tuple[dict[str, Counter[str]], list[str]]:
    """The counts of each room, and each place where a rule is broken, in words."""
    counts: dict[str, Counter[str]] = {}
    places = []
    for path in sorted(root.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        name = path.relative_to(root)
        found = counts.setdefault(name.parts[0], Counter())
        for line, text in docstrings(source):
            for sentence in sentences(text):
                found["sentences"] += 1
                for rule, broken in (("semicolon", ";" in sentence), ("nobody", bool(_NOBODIES.search(sentence)))):
                    if broken:
                        found[rule] += 1
                        places.append(f"{name}:{line}: {rule}: {sentence}")
        for number, line in enumerate(source.splitlines(), 1):
            found["lines"] += 1
            found["comment"] += line.lstrip().startswith("#")
            if _THE_PAGE.search(line):
                found["the page"] += 1
                places.append(f"{name}:{number}: the page: {line.strip()}")
    return counts, places


def report(counts: dict[str, Counter[str]], places: list[str]) -> str:
    """A line for each room, their total, and the places."""
    names = ("sentences", "semicolon", "nobody", "the page", "lines", "comment")
    rows = {**counts, "total": sum(counts.values(), Counter())}
    lines = [f"{'':14}" + "".join(f"{name:>11}" for name in names)]
    lines += [f"{room:14}" + "".join(f"{found[name]:>11,}" for name in names) for room, found in rows.items()]
    return "\n".join(["", *lines, "", *places])


COUNTS, PLACES = findings(PACKAGE)
TOTAL = sum(COUNTS.values(), Counter())


@pytest.mark.parametrize(("rule", "most"), [("semicolon", MAX_SEMICOLONS), ("nobody", MAX_NOBODIES)])
def test_sentences(rule: str, most: float) -> None:
    """A docstring tells one fact a sentence, and its subject is a thing in the code."""
    assert TOTAL[rule] <= most * TOTAL["sentences"], report(COUNTS, PLACES)


def test_the_page() -> None:
    """What Devino documents is called "the API docs" in every line of the package."""
    assert TOTAL["the page"] == 0, report(COUNTS, PLACES)


@pytest.mark.parametrize("room", ["flow", "transport"])
def test_comments(room: str) -> None:
    """Comments argue where concurrency is hard: at least 3 lines in 100."""
    assert COUNTS[room]["comment"] >= MIN_COMMENTS * COUNTS[room]["lines"], report(COUNTS, PLACES)


def test_the_counting() -> None:
    """Docstrings of modules, classes, functions and names are counted, sentence by sentence. Other texts are not."""
    source = (
        '"""One; two. Three is no more."""\nNAME = 1\n"""Four.\n\n- five\n- six; seven\n"""\n'
        'def call():\n    "Eight? Nobody."\n    "not a docstring; this"\n    return "; nor this"\n'
    )
    found = [sentence for _, text in docstrings(source) for sentence in sentences(text)]
    assert found == ["One; two.", "Three is no more.", "Four.", "five", "six; seven", "Eight?", "Nobody."]
    assert [sentence for sentence in found if _NOBODIES.search(sentence)] == ["Three is no more.", "Nobody."]


if __name__ == "__main__":
    print(report(*findings(Path(sys.argv[1]) if sys.argv[1:] else PACKAGE)))
