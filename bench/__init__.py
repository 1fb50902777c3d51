"""The database at the size of the full chain: a generator of one, and documented queries on it."""
