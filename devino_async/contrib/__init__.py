"""Adapters for web frameworks: a small file for each, all with the same function.

`endpoint(receiver)` returns what the framework expects for a route. What a request means is decided in webhooks/.
"""
