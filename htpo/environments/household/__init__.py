"""Household: a small text world in the manner of ALFWorld, made here, in plain Python, as many games as are wanted."""
