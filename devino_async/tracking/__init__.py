"""What is known of the delivery of each message, in whatever order the news came.

- ladder.py: what a set of events says about a message. Pure.
- rounding.py: which message is meant by an id that a float64 has rounded. Pure.
- store.py, sqlite.py: where events are kept, in memory or in a file.
- tracker.py: DeliveryTracker, which is fed with news, and can be asked and waited on.
- waiting.py: what waits for news in it.

Receiving callbacks over HTTP is in webhooks/, asking the service in client/.
"""
