"""What was requested, and what the client got wrong."""
