"""Receiving what the service POSTs.

- receiver.py: CallbackReceiver, which decides what is let in and runs your coroutines.
- asgi.py: the receiver as an ASGI application.
- tokens.py: the secrets of its address.
"""
