"""Hop 6: a risk moves an alert; an outcome settles a label."""
