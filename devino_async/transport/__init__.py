"""HOW it travels: sessions, limits, retries, and the evidence for each. The only aiohttp client code."""
