"""How good the probabilities and the alerts were, once it was known who left."""
