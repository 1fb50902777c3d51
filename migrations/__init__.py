"""The migrations, a package so that an installed wheel can bring a database up to date."""
