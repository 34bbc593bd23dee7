"""The dispatcher: claims deliveries, sends them, and writes down what came of it."""
