"""What is kept between requests: the database, the clock, the switches."""
