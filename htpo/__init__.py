"""Hierarchical token-level objective control for language models trained with verifiable rewards."""

__version__ = "0.1.0"
