"""The method: token batches, the partition, the table of rules, HTPO and its baselines. Pure PyTorch."""

import importlib
import pkgutil

from htpo.objectives.advantages import group_relative_advantage
from htpo.objectives.aggregation import fixed_length_mean, sequence_mean, token_mean
from htpo.objectives.batch import Outcome, TokenBatch
from htpo.objectives.registry import DESCRIPTIONS, OBJECTIVES, make_objective, objective_options, option_meanings
from htpo.objectives.statistics import add_sums, summarize
from htpo.objectives.table import TableObjective

__all__ = [
    "DESCRIPTIONS",
    "OBJECTIVES",
    "Outcome",
    "TableObjective",
    "TokenBatch",
    "add_sums",
    "fixed_length_mean",
    "group_relative_advantage",
    "make_objective",
    "objective_options",
    "option_meanings",
    "sequence_mean",
    "summarize",
    "token_mean",
]

for _module in ("htpo", *(module.name for module in pkgutil.iter_modules(__path__))):
    importlib.import_module(f"{__name__}.{_module}")  # for what it registers, HTPO first
