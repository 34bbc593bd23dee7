"""How a process says how it stands: the one health server."""
