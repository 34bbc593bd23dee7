"""The themes of the feature table, a module each: its rows, and under them the function that computes them."""
