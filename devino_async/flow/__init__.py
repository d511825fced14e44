"""HOW MUCH at once: chunks, batches in flight, pages. Knows asyncio; knows neither sockets nor SMS."""
