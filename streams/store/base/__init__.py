"""How a database is reached, and what its dialects say differently."""
