"""One revision per core or dataset; views and functions stand beside it in a .sql file of the same name."""
