"""The wings joined: the client, what sends, what looks up, and where its options come from."""
