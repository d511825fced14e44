"""`python -m devino_async.sandbox`: the sandbox alone, where the extra `cli` is not installed, as in a container."""

import argparse
import asyncio
import signal
import sqlite3
import sys
from collections.abc import Sequence

from .recipients import help_text
from .server import Sandbox

__all__ = ["main"]

_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sandbox until SIGINT or SIGTERM. Return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m devino_async.sandbox",
        description="Run a pretend Devino until Ctrl-C. Any API key is accepted. A browser shows the messages.",
        epilog=f"The last digits of a recipient decide what becomes of its messages:\n{help_text()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8025, help="default 8025; 0 chooses a free one")
    parser.add_argument("--host", default="127.0.0.1", help="default 127.0.0.1")
    parser.add_argument("--database", default=":memory:", help="a file keeps messages between runs; default :memory:")
    parser.add_argument("--keep", type=int, help="how many messages are kept, the newest ones; by default all are")
    asked = parser.parse_args(arguments)
    if not 0 <= asked.port <= 65_535:
        parser.error("--port must be from 0 to 65535")
    if asked.keep is not None and asked.keep < 1:
        parser.error("--keep must be at least 1")
    return asyncio.run(_serve(asked.host, asked.port, asked.database, asked.keep))


async def _serve(host: str, port: int, database: str, keep: int | None) -> int:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Process 1 of a container ignores SIGTERM unless it has a handler.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    sandbox = Sandbox(host=host, port=port, database=database, keep=keep)
    try:
        await sandbox.start()
    except OSError as error:
        return _refuse(f"cannot listen on {host}:{port}: {error.strerror}")
    except sqlite3.Error as error:
        return _refuse(f"cannot use the database {database}: {error}")
    sys.stdout.write(f"{sandbox.url}\n")
    sys.stdout.flush()
    try:
        await stopped.wait()
    finally:
        await sandbox.stop()
    return 0


def _refuse(problem: str) -> int:
    sys.stderr.write(f"{problem}\n")
    return _USAGE


if __name__ == "__main__":
    sys.exit(main())
