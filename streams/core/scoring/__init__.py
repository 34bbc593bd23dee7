"""Hops 4 and 5: facts become features, features a probability with its reasons."""
