"""How well the lines of models do, week by week, and which of them should serve."""
