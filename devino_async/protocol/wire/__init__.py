"""The grammar that all chapters share: strict JSON, the converter, the envelope, and query strings."""
