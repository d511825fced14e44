"""The version, and nothing else: the build reads it from here, and importing it loads nothing."""

__all__ = ["VERSION"]

VERSION = "0.1.0"
