"""Draws what has been computed, and says how to read it."""
