"""Programs: run against tests in a sandbox that neither the program nor the tests can leave."""
