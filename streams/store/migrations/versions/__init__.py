"""The migrations, one for each version of the tables, with its number."""
