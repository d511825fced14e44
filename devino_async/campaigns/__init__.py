"""Campaigns: what is needed to send to very many people from files. Sending itself is the client's.

Import its names from here.
"""

from .files import Row, describe_reasons, read_messages

__all__ = ["Row", "describe_reasons", "read_messages"]
