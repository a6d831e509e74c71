"""Two evaluations of the same problems, paired problem by problem."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from htpo.errors import UserError
from htpo.evaluate.results import TaskSamples
from htpo.statistics import holm, paired_difference, powers_of_two


def compare(first: dict[str, TaskSamples], second: dict[str, TaskSamples]) -> list[dict[str, Any]]:
    """second - first for every task that both have, measure by measure.

    Measures are avg (over all samples of each), pass@k for k = 2, 4, ... up to the smaller number of samples, and maj@k
    at that number; of episodes the score, too.

    Returns:
        Rows with `task`, `measure`, `first` and `second` (means), the fields of a `Difference`, and `holm`, the p-value
        after Holm's correction over all rows.

    Raises:
        UserError: they have no task in common, or not the same problems of one.
    """
    shared = [name for name in first if name in second]
    if not shared:
        raise UserError(f"the two evaluations have no task in common: {', '.join(first)} against {', '.join(second)}")
    rows: list[dict[str, Any]] = []
    for name in shared:
        before, after = first[name], second[name]
        if before.numbers != after.numbers:
            raise UserError(
                f"{name}: the two evaluations do not have the same problems ({before.problems} and {after.problems})"
            )
        samples = min(before.samples, after.samples)
        ks = powers_of_two(samples)[1:]
        pairs: dict[str, tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]] = {
            "avg": (before.correct.mean(1), after.correct.mean(1)),
            **{f"pass@{k}": (before.pass_curves[:, k - 1], after.pass_curves[:, k - 1]) for k in ks},
            f"maj@{samples}": (before.majority(samples), after.majority(samples)),
            "score": (before.episode_scores, after.episode_scores),
        }
        for measure, (old, new) in pairs.items():
            if old is not None and new is not None:
                means = {"first": float(np.mean(old)), "second": float(np.mean(new))}
                found = paired_difference(new, old)
                rows.append({"task": name, "measure": measure, **means, **found.to_json()})
    return [{**row, "holm": each} for row, each in zip(rows, holm([row["p_value"] for row in rows]))]
