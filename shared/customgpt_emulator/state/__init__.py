"""What outlives a request: the database, the clock, the switches."""
