"""HOW MUCH happens at once: chunks, batches in flight, pages. It uses asyncio and knows nothing of sockets or SMS."""
