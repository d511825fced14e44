"""WHAT is said: every request and answer of the API docs as values. Pure: no await, no HTTP library, no clock."""
