"""pass@k over seeds: means with intervals, and differences between methods paired by seed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from htpo.statistics import compare_seeds, holm, mean_over_seeds

Curves = Mapping[int, Sequence[float]]  # seed -> pass@k for k = 1, 2, ...


def estimate_pass_at_k(curves: Curves, ks: Sequence[int]) -> dict[str, dict[str, Any]]:
    """By k: value, low, high and how many seeds."""
    return {str(k): {**mean_over_seeds(_at(curves, k)).to_json(), "seeds": len(curves)} for k in ks}


def compare_pass_at_k(
    pairs: Sequence[tuple[str, str]], methods: Mapping[str, Curves], ks: Sequence[int]
) -> list[dict[str, Any]]:
    """A row per pair and k, over the seeds that both methods have; `holm` is corrected over all rows."""
    rows = []
    for method, other in pairs:
        first, second = (methods.get(name, {}) for name in (method, other))
        shared = sorted(first.keys() & second.keys())
        for k in ks if shared else ():
            ours, theirs = (_at({seed: curves[seed] for seed in shared}, k) for curves in (first, second))
            found = compare_seeds(ours, theirs).to_json()
            rows.append({"method": method, "against": other, "k": k, "seeds": len(shared), **found})
    corrected = holm([row["p_value"] for row in rows])
    return [{**row, "holm": adjusted} for row, adjusted in zip(rows, corrected)]


def mean_and_range(values: Sequence[float | None]) -> dict[str, float] | None:
    """Mean and range over seeds; None unless every seed has a value."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return {"mean": float(np.mean(known)), "min": min(known), "max": max(known)}


def _at(curves: Curves, k: int) -> list[float]:
    return [curve[k - 1] for _, curve in sorted(curves.items())]
