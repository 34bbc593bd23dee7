"""Who is told of an alert, how often, and what the answer means."""
