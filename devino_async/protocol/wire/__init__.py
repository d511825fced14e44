"""What all endpoints share: strict JSON, the converter, the envelope, and query strings."""
