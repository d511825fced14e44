"""What is known of the delivery of each message, in whatever order the news came.

- ladder.py: what a set of events says about a message. Pure.
- rounding.py: which message is meant by an id that a float64 has rounded. Pure.
- store.py, sqlite.py: where events are kept, in memory or in a file.
- tracker.py: DeliveryTracker, which records news, answers queries, and lets callers wait for news.
- waiting.py: the readers and polls of a tracker that wait for news.

Receiving callbacks over HTTP is in webhooks/, and asking the service is in client/.
"""
