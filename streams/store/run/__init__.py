"""The tables of a run: states, alerts, models and positions."""
