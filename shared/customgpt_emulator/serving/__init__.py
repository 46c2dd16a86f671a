"""A request on its way from the socket to its handler, and the answer on its way back."""
