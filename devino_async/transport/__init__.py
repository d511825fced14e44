"""HOW it travels: sessions, attempts and their evidence, limits, retries. The only aiohttp client code.

What is said is protocol's, and nothing here knows of messages or receipts.
"""
