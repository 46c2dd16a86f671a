"""The agent's documents, and the answers that quote them."""
