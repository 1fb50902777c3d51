"""How the database behaves at the size of the full chain: a generator of such a database, and documented queries on it."""
