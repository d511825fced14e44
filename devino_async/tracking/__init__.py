"""What is known of the delivery of each message, whatever order the news came in.

- ladder.py: what a set of events says about a message; pure.
- store.py, sqlite.py: where events are kept, in memory or in a file.
- tracker.py: DeliveryTracker, which is fed, waited on and asked.

Receiving callbacks over HTTP is webhooks.py's, asking the service the client's.
"""
