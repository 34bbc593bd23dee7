"""The dispatcher: claims deliveries, sends them, and records the results."""
