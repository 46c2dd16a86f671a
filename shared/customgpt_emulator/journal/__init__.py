"""The requests that came in, and the verdict on the clients that sent them."""
