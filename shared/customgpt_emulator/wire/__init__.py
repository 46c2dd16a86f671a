"""The bodies that come in, and the JSON and events that go out."""
