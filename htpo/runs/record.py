"""`RunRecord`: what one run left behind, read once; whatever looks at a run looks at it through this."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from htpo.errors import UserError
from htpo.runs.directory import RunDirectory
from htpo.runs.objective_table import ObjectiveTable
from htpo.statistics import Difference, PassRates

END_SHARE = 0.1  # "at the start" and "at the end" are means over this first and last share of the updates


@dataclass(frozen=True)
class RunRecord:
    """One run. What it did not write is empty or None."""

    label: str
    directory: RunDirectory
    config: dict[str, Any]
    versions: dict[str, Any]
    plan: dict[str, str]  # what it said before it started
    objective: ObjectiveTable
    updates: list[dict[str, Any]]  # metrics, a record per update; None where a number could not be computed
    summary: dict[str, Any] | None  # None: it did not come to its end
    before: PassRates | None  # on held-out problems
    after: PassRates | None

    @classmethod
    def read(cls, directory: RunDirectory, label: str = "") -> "RunRecord":
        """Read a run directory.

        Args:
            label: what to call the run; its folder's name if empty.

        Raises:
            UserError: a file of it cannot be read.
        """
        before, after = (_rates(directory, f"evaluation_{when}.json") for when in ("before", "after"))
        return cls(
            label=label or directory.path.name,
            directory=directory,
            config=directory.config,
            versions=directory.read_json("versions.json") or {},
            plan=directory.read_json("plan.json") or {},
            objective=directory.objective,
            updates=[record for record in directory.read_metrics() if "accuracy" in record],
            summary=directory.read_json("summary.json"),
            before=before,
            after=after,
        )

    @property
    def engine(self) -> str:
        """What trained: "trl" or "verl", by whose names options are called."""
        return str(self.config.get("engine", "trl"))

    def logged(self, name: str) -> bool:
        """Whether a metric was logged, if only as a number that could not be computed."""
        return any(name in update for update in self.updates)

    def curve(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """A metric over training.

        Returns:
            The updates that logged it, from 1, and its values, NaN where it could not be computed; both (n,).
        """
        logged = [update for update in self.updates if name in update]
        steps = np.array([update["step"] for update in logged], dtype=np.int64)
        return steps, np.array([math.nan if update[name] is None else update[name] for update in logged], np.float64)

    def at_start(self, name: str) -> float | None:
        """Mean of a metric over the first tenth of the updates; None when it is not known of any."""
        return self._mean(name, slice(0, self.tenth))

    def at_end(self, name: str) -> float | None:
        """Mean over the last tenth."""
        return self._mean(name, slice(-self.tenth, None))

    def throughout(self, name: str) -> float | None:
        """Mean over all updates."""
        return self._mean(name, slice(None))

    @property
    def tenth(self) -> int:
        """Number of updates in the first and in the last tenth, at least one."""
        return max(1, round(END_SHARE * len(self.updates)))

    def held_out_change(self, k: int) -> Difference | None:
        """Of pass@k, after - before, paired over problems; None when it was not measured."""
        if self.before is None or self.after is None:
            return None
        return self.after.change_from(self.before, k)

    def _mean(self, name: str, part: slice) -> float | None:
        known = [update[name] for update in self.updates[part] if update.get(name) is not None]
        return float(np.mean(known)) if known else None


def _rates(directory: RunDirectory, name: str) -> PassRates | None:
    content = directory.read_json(name)
    if content is None:
        return None
    try:
        return PassRates.from_json(content)
    except (KeyError, TypeError) as error:
        raise UserError(f"{directory.path / name} is not as htpo writes it ({error}): remove it") from error
