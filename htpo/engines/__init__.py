"""Thin adapters to the trainers people already use."""
