"""Signatures, and secrets at rest."""
