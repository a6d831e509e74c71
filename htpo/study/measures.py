"""What one finished run measured, read from its directory."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from htpo.errors import UserError
from htpo.runs import RunDirectory
from htpo.statistics import PassRates

CURVES = {"accuracy": "accuracy", "entropy": "entropy", "length": "completions/mean_length"}
"""What is followed over training: its name here and in `metrics.jsonl`."""
TOKENS_ONLY = {"dapo", "htpo", "entropy_mask"}  # objectives that differ from DAPO in nothing but some tokens' rule
END_SHARE = 0.1  # "at the end of training" is the mean over this last share of the updates


@dataclass(frozen=True)
class Measures:
    """The numbers of one run."""

    before: PassRates  # on the held-out problems, before training
    after: PassRates
    steps: list[int]  # the updates of the curves
    curves: dict[str, list[float]]  # accuracy (share), entropy (nats per token), length (tokens); NaN where not known
    minutes: float  # spent in updates, generation included; model loading and measuring are not
    prompts_drawn: float | None  # prompts answered per generation, those that dynamic sampling dropped included
    differs_from_dapo: float | None  # see `differs_from_dapo`

    def at_the_end(self, name: str) -> float | None:
        """Mean of a curve over the last tenth of the updates; None when nothing is known of it."""
        values = self.curves[name][-max(1, round(END_SHARE * len(self.steps))) :]
        return _mean(value for value in values if not math.isnan(value))


def read_measures(run: RunDirectory) -> Measures:
    """Read a run that is done.

    Raises:
        UserError: it was not measured, or logged no updates.
    """
    before, after = (run.read_json(f"evaluation_{when}.json") for when in ("before", "after"))
    records = [record for record in run.read_metrics() if "accuracy" in record]
    if before is None or after is None or not records:
        raise UserError(
            f"{run.path} has no measurement of held-out problems, or no metrics: remove it and run it again"
        )
    return Measures(
        before=PassRates.from_json(before),
        after=PassRates.from_json(after),
        steps=[record["step"] for record in records],
        curves={name: [_number(record.get(key)) for record in records] for name, key in CURVES.items()},
        minutes=sum(record.get("step_time") or 0.0 for record in records) / 60,
        prompts_drawn=_mean(r["sampling/groups_drawn"] for r in records if r.get("sampling/groups_drawn") is not None),
        differs_from_dapo=differs_from_dapo(run.objective.name, records),
    )


def differs_from_dapo(objective: str | None, records: list[dict[str, Any]]) -> float | None:
    """Share of tokens whose gradient was not what DAPO's clip would have given, as a mean over the updates.

    None for objectives that differ from DAPO in more than the rule of some tokens, and for runs that did not log it.
    """
    if objective not in TOKENS_ONLY:
        return None
    return _mean(record["differs_from_ppo"] for record in records if "differs_from_ppo" in record)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.fmean(known) if known else None
