"""Receiving what the service POSTs.

- receiver.py: CallbackReceiver, which decides what is let in and runs your coroutines.
- asgi.py: the receiver as an ASGI application.
- gate.py: bounds for the connections of a server that have not sent a valid token.
- tokens.py: the secrets of its address.
"""
