"""Every call of the API, said once: for both clients, and for flows."""
