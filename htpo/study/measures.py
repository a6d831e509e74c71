"""What one finished run measured, read from its directory."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from htpo.errors import UserError
from htpo.evaluate import PassRates
from htpo.runs import RunDirectory

CURVES = {"accuracy": "accuracy", "entropy": "entropy", "length": "completions/mean_length"}
"""What is followed over training: its name here and in `metrics.jsonl`."""
TOKENS_ONLY = {"htpo", "entropy_mask"}  # objectives that differ from DAPO in the rule of some tokens, else in nothing
DIFFERING = {
    "ppo": ("detached_share",),
    "encourage forking": ("clipped_share", "detached_share"),
    "penalise forking": ("clipped_share", "detached_share"),
    "zero": (),
}
"""By a group's rule: the shares of its tokens that differ from DAPO; () stands for all of them."""
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
        differs_from_dapo=differs_from_dapo(run.read_json("objective.json") or {}, records),
    )


def differs_from_dapo(objective: dict[str, Any], records: list[dict[str, Any]]) -> float | None:
    """Share of tokens on which a run's objective was seen to differ from DAPO's with the same clip range.

    Per update the sum over groups of token_share x what the group's rule leaves of DAPO's, then the mean over updates:

    - PPO's clip: detached_share (their objective is 0; some of them PPO would have clipped as well)
    - a forking rule of HTPO: clipped_share + detached_share (it keeps a gradient where PPO's clip removes it). G2 also
      differs below the clip range with positive advantage (weight 1/r instead of r), which no metric counts: where that
      is frequent the share is too low
    - zero (the 80/20 rule's low-entropy tokens): all of them

    0 for DAPO; None for other rules and for objectives that differ from DAPO in more than tokens.
    """
    if objective.get("name") == "dapo":
        return 0.0
    if objective.get("name") not in TOKENS_ONLY:
        return None
    counted: dict[str, tuple[str, ...]] = {}
    for line in objective["table"]:
        cell, _, rule = line.partition(": ")
        known = next((shares for name, shares in DIFFERING.items() if rule.startswith(name)), None)
        if known is None:
            return None
        counted[cell.split()[0]] = known
    return _mean(sum(_share(record, group, names) for group, names in counted.items()) for record in records)


def _share(record: dict[str, Any], group: str, names: tuple[str, ...]) -> float:
    tokens = record.get(f"group/{group}/token_share") or 0.0
    if not tokens:
        return 0.0  # and its shares are null
    return tokens * (sum(record[f"group/{group}/{name}"] for name in names) if names else 1.0)


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return statistics.fmean(known) if known else None
