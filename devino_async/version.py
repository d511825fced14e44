"""The version. The build reads it from here, and importing it loads nothing else."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
