"""Numbers with their uncertainty, and with the reason where there is none."""

from htpo.statistics.estimate import Estimate, estimate_text, number_text

__all__ = ["Estimate", "estimate_text", "number_text"]
