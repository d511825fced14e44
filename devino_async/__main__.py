"""The `devino` command, and `python -m devino_async`. It starts the command line, or names the missing extra."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. Without its extra, one line says how to install it."""
    try:
        import click  # noqa: F401, PLC0415
        import rich  # noqa: F401, PLC0415
    except ImportError:
        sys.stderr.write("the devino command needs its extra: pip install 'devino-async[cli]'\n")
        sys.exit(2)
    from .cli import devino  # noqa: PLC0415

    devino(prog_name="devino")


if __name__ == "__main__":
    main()
