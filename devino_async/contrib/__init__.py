"""Where the SDK plugs into web frameworks: a small file for each, with the same function in all of them.

`endpoint(receiver)` gives what the framework wants for a route. What a request means is webhooks.py's.
"""
