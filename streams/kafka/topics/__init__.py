"""Topics: made, checked, filled, read whole, and their dead letters sent again."""
