"""Forewarn: who is about to leave, why, and while there is still time."""
