"""Answers to reasoning-gym's puzzles, judged by the generators' own scorers."""
