"""The client on requests: blocking calls, for threads."""
