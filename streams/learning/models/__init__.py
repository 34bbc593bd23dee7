"""The kinds of models that learn."""
