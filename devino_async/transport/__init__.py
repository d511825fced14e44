"""HOW calls travel: sessions, attempts and their evidence, limits, retries. The only aiohttp client code.

What the calls say is decided in protocol/. Nothing here knows about messages or receipts.
"""
