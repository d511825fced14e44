"""HOW MUCH at once: chunks, batches in flight, pages. It knows asyncio, but neither sockets nor SMS."""
