"""All tables: python benchmarks/run.py"""

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version

import callbacks
import campaign
import check
import codec
import footprint
import journal
import json_libraries
import latency
import reads
import singles
import template

LIBRARIES = ("aiohttp", "attrs", "cattrs", "tenacity", "orjson", "twilio")


def versions() -> str:
    """What runs here, in one line."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return f"CPython {sys.version.split()[0]}, {platform.machine()}, {os.cpu_count()} cores, {', '.join(found)}"


def main() -> None:
    began = time.perf_counter()
    print(versions())
    for part in (
        campaign,
        template,
        singles,
        latency,
        codec,
        json_libraries,
        reads,
        callbacks,
        journal,
        check,
        footprint,
    ):
        part.table()
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
