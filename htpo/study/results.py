"""The results of a study: every number of the report, from what its runs stored."""

from typing import Any

import numpy as np

from htpo.analysis.dynamics import running_mean
from htpo.errors import UserError
from htpo.evaluate.results import powers_of_two
from htpo.statistics import PassRates, compare_seeds, holm, mean_over_seeds
from htpo.study.definition import Run, Study
from htpo.study.directory import StudyDirectory
from htpo.study.measures import CURVES, Measures, read_measures

AT_THE_END = [*CURVES]
PER_RUN = ["minutes", "prompts_drawn", "differs_from_dapo"]
CURVE_POINTS = 200  # about so many are kept of a curve
SMOOTHED_SHARE = 0.05  # curves are running means over this share of the updates

MeasuresBySeed = dict[str, dict[int, Measures]]  # method -> seed -> measures


def collect(study: Study, directory: StudyDirectory) -> dict[str, Any]:
    """All results as plain data, made for JSON.

    Keys: `methods` (their options by task), `seeds`, `recipe`, `reference`, `missing` (runs that are not done) and
    `tasks`. A task has `samples`, `problems` (per seed), `k`, `before` (pass@k by k), `running_mean` (how many updates
    a point of a curve is the mean of), `methods` (for each its `seeds`, `pass_at_k` by k, `measures`, `curves`, and
    `counts` of correct answers by seed) and `comparisons` (for each pair and k: value, low, high, p_value, effect_size,
    and holm, the p-value corrected over the task's comparisons).

    Raises:
        UserError: no run is done, or the runs of a task were not measured alike.
    """
    missing = [run for run in study.runs() if not directory.is_done(run)]
    if len(missing) == len(list(study.runs())):
        raise UserError(f"no run in {directory.path} is done: there is nothing to report")
    tasks = {task: _task_results(study, task, _measures(study, directory, task)) for task in study.tasks}
    return {
        "methods": {method: {task: study.options_of(task, method) for task in study.tasks} for method in study.methods},
        "seeds": list(study.seeds),
        "recipe": study.recipe,
        "reference": study.reference,
        "missing": [str(run) for run in missing],
        "tasks": {task: results for task, results in tasks.items() if results},
    }


def _measures(study: Study, directory: StudyDirectory, task: str) -> MeasuresBySeed:
    found: MeasuresBySeed = {}
    for method in study.methods:
        runs = {seed: Run(task, method, seed) for seed in study.seeds}
        done = {seed: read_measures(directory.run(run)) for seed, run in runs.items() if directory.is_done(run)}
        if done:
            found[method] = done
    return found


def _task_results(study: Study, task: str, measures: MeasuresBySeed) -> dict[str, Any] | None:
    if not measures:
        return None
    _check_measured_alike(task, measures)
    by_seed: dict[int, Measures] = {}
    for runs in measures.values():
        by_seed = {**runs, **by_seed}
    first = next(iter(by_seed.values())).after
    ks = powers_of_two(first.samples)
    width = max(1, round(SMOOTHED_SHARE * min(len(run.steps) for runs in measures.values() for run in runs.values())))
    return {
        "samples": first.samples,
        "problems": first.problems,
        "k": ks,
        "before": {str(k): _estimate({s: m.before for s, m in by_seed.items()}, k) for k in ks},
        "running_mean": width,
        "methods": {method: _method_results(runs, ks, width) for method, runs in measures.items()},
        "comparisons": _comparisons(study.pairs(), measures, ks),
    }


def _method_results(runs: dict[int, Measures], ks: list[int], width: int) -> dict[str, Any]:
    after = {seed: run.after for seed, run in runs.items()}
    return {
        "seeds": list(runs),
        "pass_at_k": {str(k): _estimate(after, k) for k in ks},
        "measures": {
            **{
                f"{name}_at_the_end": _over_seeds([run.at_the_end(name) for run in runs.values()])
                for name in AT_THE_END
            },
            **{name: _over_seeds([getattr(run, name) for run in runs.values()]) for name in PER_RUN},
        },
        "curves": _curves(list(runs.values()), width),
        "counts": {
            str(seed): {"before": list(run.before.correct), "after": list(run.after.correct)}
            for seed, run in runs.items()
        },
    }


def _comparisons(pairs: list[tuple[str, str]], measures: MeasuresBySeed, ks: list[int]) -> list[dict[str, Any]]:
    """A row per pair and k, over the seeds that both methods have."""
    rows = []
    for method, other in pairs:
        first, second = (measures.get(name, {}) for name in (method, other))
        shared = sorted(first.keys() & second.keys())
        for k in ks if shared else ():
            ours, theirs = (_rates({seed: runs[seed].after for seed in shared}, k) for runs in (first, second))
            found = compare_seeds(ours, theirs).to_json()
            rows.append({"method": method, "against": other, "k": k, "seeds": len(shared), **found})
    corrected = holm([row["p_value"] for row in rows])
    return [{**row, "holm": adjusted} for row, adjusted in zip(rows, corrected)]


def _estimate(measured: dict[int, PassRates], k: int) -> dict[str, Any]:
    return {**mean_over_seeds(_rates(measured, k)).to_json(), "seeds": len(measured)}


def _rates(measured: dict[int, PassRates], k: int) -> list[float]:
    return [rates.pass_at(k) for _, rates in sorted(measured.items())]


def _over_seeds(values: list[float | None]) -> dict[str, float] | None:
    """Mean and range over seeds; None unless every seed has a value."""
    if any(value is None for value in values):
        return None
    return {"mean": float(np.mean(values)), "min": min(values), "max": max(values)}


def _curves(runs: list[Measures], width: int) -> dict[str, list[float]]:
    """Mean, smallest and largest over seeds of each seed's running mean, at updates that all seeds logged."""
    steps = sorted(set.intersection(*(set(run.steps) for run in runs)))
    shown = sorted({*range(0, len(steps), max(1, len(steps) // CURVE_POINTS)), len(steps) - 1})
    curves: dict[str, list[float]] = {"step": [steps[index] for index in shown]}
    for name in CURVES:
        by_step = [dict(zip(run.steps, run.curves[name])) for run in runs]
        values = np.array([running_mean([known[step] for step in steps], width)[shown] for known in by_step])
        for statistic, reduce in (("mean", np.mean), ("min", np.min), ("max", np.max)):
            curves[f"{name}_{statistic}"] = reduce(values, axis=0).tolist()
    return curves


def _check_measured_alike(task: str, measures: MeasuresBySeed) -> None:
    sizes = {run.after.samples for runs in measures.values() for run in runs.values()}
    sizes |= {run.before.samples for runs in measures.values() for run in runs.values()}
    problems = {run.after.problems for runs in measures.values() for run in runs.values()}
    if len(sizes) > 1 or len(problems) > 1:
        raise UserError(f"the runs of {task} were not measured alike: {sizes} samples, {problems} problems")
