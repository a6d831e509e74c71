"""Numbers with their uncertainty, and with the reason where there is none: one interval for each question.

What other problems would give: `problems`. What other seeds would give: `seeds`. What other prompts would give, of
quantities of tokens or responses: `prompts`. `docs/statistics.md` says how often each holds the truth.
"""

from htpo.statistics.estimate import Difference, Estimate, estimate_text, number_text, p_text, range_text
from htpo.statistics.multiple_tests import SIGNIFICANCE, holm
from htpo.statistics.pass_at_k import (
    g_pass_at_k,
    majority_at_k,
    mean_g_pass_at_k,
    pass_at_k,
    pass_curves,
    powers_of_two,
)
from htpo.statistics.pass_rates import PassRates
from htpo.statistics.problems import mean_interval, paired_difference, rate_interval, rate_intervals
from htpo.statistics.prompts import PromptSample
from htpo.statistics.seeds import SeedDifference, compare_seeds, mean_over_seeds, means_over_seeds
from htpo.statistics.verdict import change_in_words, direction

__all__ = [
    "SIGNIFICANCE",
    "Difference",
    "Estimate",
    "PassRates",
    "PromptSample",
    "SeedDifference",
    "change_in_words",
    "compare_seeds",
    "direction",
    "estimate_text",
    "g_pass_at_k",
    "holm",
    "majority_at_k",
    "mean_g_pass_at_k",
    "mean_interval",
    "mean_over_seeds",
    "means_over_seeds",
    "number_text",
    "p_text",
    "paired_difference",
    "pass_at_k",
    "pass_curves",
    "powers_of_two",
    "range_text",
    "rate_interval",
    "rate_intervals",
]
