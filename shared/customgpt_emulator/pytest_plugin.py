"""The pytest plugin: imports nothing heavy when it loads."""
