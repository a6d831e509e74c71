"""A policy plays episodes of an environment: what it is told, what of it is sampled, and what an episode is worth."""
