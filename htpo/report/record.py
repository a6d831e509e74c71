"""`RunRecord`: what one run left behind, read once for the page."""

import math
import statistics
from dataclasses import dataclass
from typing import Any

from htpo.errors import UserError
from htpo.runs import ObjectiveTable, RunDirectory
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
    updates: list[dict[str, Any]]  # metrics, a record per update
    summary: dict[str, Any] | None  # None: it did not come to its end
    before: PassRates | None  # on held-out problems
    after: PassRates | None

    @classmethod
    def read(cls, directory: RunDirectory, label: str) -> "RunRecord":
        """Read a run directory.

        Raises:
            UserError: a file of it cannot be read.
        """
        before, after = (_rates(directory, f"evaluation_{when}.json") for when in ("before", "after"))
        return cls(
            label=label,
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

    def at_start(self, name: str) -> float | None:
        """Mean of a metric over the first tenth of the updates; None when it is not known of any."""
        return self._mean(name, slice(0, self.tenth))

    def at_end(self, name: str) -> float | None:
        """Mean over the last tenth."""
        return self._mean(name, slice(-self.tenth, None))

    def throughout(self, name: str) -> float | None:
        """Mean over all updates."""
        return self._mean(name, slice(None))

    def logged(self, name: str) -> bool:
        """Whether a metric was logged, if only as a number that could not be computed."""
        return any(name in update for update in self.updates)

    def held_out_change(self, k: int) -> Difference | None:
        """Of pass@k, after - before, paired over problems; None when it was not measured."""
        if self.before is None or self.after is None:
            return None
        return self.after.change_from(self.before, k)

    @property
    def tenth(self) -> int:
        """Number of updates in the first and in the last tenth, at least one."""
        return max(1, round(END_SHARE * len(self.updates)))

    def _mean(self, name: str, part: slice) -> float | None:
        known = [update[name] for update in self.updates[part] if update.get(name) is not None]
        return statistics.fmean(known) if known else None


def change(start: float | None, end: float | None) -> float | None:
    """How many times its start a quantity is at the end; None when that is not known."""
    if start is None or end is None or start <= 0 or not math.isfinite(end / start):
        return None
    return end / start


def _rates(directory: RunDirectory, name: str) -> PassRates | None:
    content = directory.read_json(name)
    if content is None:
        return None
    try:
        return PassRates.from_json(content)
    except (KeyError, TypeError) as error:
        raise UserError(f"{directory.path / name} is not as htpo writes it ({error}): remove it") from error
