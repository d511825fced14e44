"""All tables: python benchmarks/run.py"""

import platform
import sys
from importlib.metadata import version

import campaign
import codec
import footprint
import reads


def main() -> None:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("aiohttp", "attrs", "cattrs", "tenacity"))
    print(f"CPython {sys.version.split()[0]}, {platform.machine()}, {libraries}")
    campaign.table()
    codec.table()
    reads.table()
    footprint.table()


if __name__ == "__main__":
    main()
