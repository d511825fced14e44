"""Receiving what the service POSTs: the receiver, its ASGI application and the tokens of its address."""
