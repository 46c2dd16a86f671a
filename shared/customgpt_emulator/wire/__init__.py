"""What goes over the wire: the bodies that come in, the JSON and the events that go out."""
