"""Compare what is installed with the lowest that pyproject.toml allows: python .ci/floors.py PYPROJECT [EXTRA].

A lower bound that cannot be installed beside the others is not a lower bound. Then this names it and fails.
"""

import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import Version


def asked_for(project: dict[str, Any], extra: str | None) -> Iterator[Requirement]:
    """Yield the requirements of the core and of one extra, with those of the extras that it takes in."""
    for text in [*project["dependencies"], *(project["optional-dependencies"][extra] if extra else ())]:
        requirement = Requirement(text)
        if requirement.name == project["name"]:
            for each in requirement.extras:
                yield from asked_for(project, each)
        elif requirement.marker is None or requirement.marker.evaluate():
            yield requirement


def main(path: str, extra: str | None = None) -> None:
    """Compare each lower bound with the version that is installed."""
    project = tomllib.loads(Path(path).read_text(encoding="utf-8"))["project"]
    wrong = []
    for requirement in {each.name: each for each in asked_for(project, extra)}.values():
        floors = [each.version for each in requirement.specifier if each.operator == ">="]
        installed = version(requirement.name)
        print(f"  {requirement} -> {installed}")
        if [Version(each) for each in floors] != [Version(installed)]:
            wrong.append(f"{requirement.name}: {installed} is installed, but pyproject.toml says {requirement}")
    if wrong:
        sys.exit("\n".join(wrong))


main(*sys.argv[1:])
