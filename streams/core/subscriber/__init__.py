"""Hop 3: what is remembered of one subscriber, and how an event changes it."""
