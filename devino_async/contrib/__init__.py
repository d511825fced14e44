"""Where the SDK plugs into web frameworks: a small file for each, with the same function in all of them.

`endpoint(receiver)` returns what the framework wants for a route. What a request means is decided in webhooks/.
"""
