"""Campaigns: reading the messages of a large campaign from files. The client sends them.

Import the names of this package from here.
"""

from .files import Row, describe_reasons, read_messages

__all__ = ["Row", "describe_reasons", "read_messages"]
