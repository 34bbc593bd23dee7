"""The notifier: alerts from their topic into the database of the sink."""
