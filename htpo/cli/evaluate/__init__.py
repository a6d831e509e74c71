"""`htpo eval`."""
