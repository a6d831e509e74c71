"""The bar over a training's updates."""

import math
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

SHOWN = {"accuracy": "accuracy", "entropy": "entropy", "length": "completions/mean_length"}


def show_values(bar: "tqdm[Any]", metrics: Mapping[str, Any]) -> None:
    """Write an update's values of most interest behind the bar, as far as they are known."""
    values = {name: metrics.get(key) for name, key in SHOWN.items()}
    known = {name: f"{x:.3g}" for name, x in values.items() if x is not None and math.isfinite(x)}
    bar.set_postfix(known, refresh=False)
