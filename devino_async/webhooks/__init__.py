"""Receiving the requests that the service POSTs to you.

- receiver.py: CallbackReceiver, which decides which requests to accept and runs your coroutines.
- asgi.py: the receiver as an ASGI application.
- gate.py: limits for a server's connections that have not sent a valid token.
- tokens.py: the secrets in the receiver's address.
"""
