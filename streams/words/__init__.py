"""Codes and numbers in the words of a language."""
