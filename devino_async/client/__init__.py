"""The client: sending, look-ups and options."""
