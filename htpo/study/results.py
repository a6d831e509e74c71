"""The results of a study: every number of the report, from what its runs stored."""

from collections.abc import Callable, Mapping
from typing import Any

from htpo.errors import UserError
from htpo.runs import RunRecord
from htpo.statistics import PassRates, powers_of_two
from htpo.study.definition import Run, Study
from htpo.study.directory import StudyDirectory
from htpo.study.estimates import Curves, compare_pass_at_k, estimate_pass_at_k, mean_and_range
from htpo.study.evaluations import evaluation_results

TOKENS_ONLY = {"dapo", "htpo", "entropy_mask"}  # objectives that differ from DAPO in nothing but some tokens' rule
MEASURES: dict[str, Callable[[RunRecord], float | None]] = {
    "accuracy_at_the_end": lambda run: run.at_end("accuracy"),
    "entropy_at_the_end": lambda run: run.at_end("entropy"),
    "length_at_the_end": lambda run: run.at_end("completions/mean_length"),
    "minutes": lambda run: sum(update.get("step_time") or 0.0 for update in run.updates) / 60,
    "prompts_drawn": lambda run: run.throughout("sampling/groups_drawn"),
    "differs_from_dapo": lambda run: run.throughout("differs_from_ppo") if run.objective.name in TOKENS_ONLY else None,
}
"""What training of one run looked like: over its last tenth; spent in updates, generation included, model loading and
measuring not; prompts answered per generation, those that dynamic sampling dropped included; share of tokens whose
gradient was not what DAPO's clip would have given."""

RunsBySeed = dict[str, dict[int, RunRecord]]  # method -> seed -> run


def finished_runs(study: Study, directory: StudyDirectory) -> dict[str, RunsBySeed]:
    """The runs that are done, by task.

    Raises:
        UserError: no run is done, or one was not measured.
    """
    found: dict[str, RunsBySeed] = {}
    for run in study.runs():
        if directory.is_done(run, study):
            found.setdefault(run.task, {}).setdefault(run.method, {})[run.seed] = _measured(directory, run)
    if not found:
        raise UserError(f"no run in {directory.path} is done: there is nothing to report")
    return {
        task: {method: found[task][method] for method in study.methods if method in found[task]}
        for task in study.tasks
        if task in found
    }


def collect(study: Study, directory: StudyDirectory, finished: Mapping[str, RunsBySeed]) -> dict[str, Any]:
    """All results as plain data, made for JSON.

    Keys: `methods` (their options by task), `seeds`, `recipe`, `reference`, `missing` (runs that are not done) and
    `tasks`. A task has `samples`, `problems` (per seed), `k`, `before` (pass@k by k), `methods` (for each its `seeds`,
    `pass_at_k` by k, `measures`, and `counts` of correct answers by seed) and `comparisons` (for each pair and k:
    value, low, high, p_value, effect_size, and holm, the p-value corrected over the task's comparisons), and
    `evaluations`, of each benchmark that the study evaluates on (`evaluation_results`).

    Args:
        finished: as `finished_runs` gives them.

    Raises:
        UserError: the runs of a task were not measured alike.
    """
    missing = [run for run in study.runs() if run.seed not in finished.get(run.task, {}).get(run.method, {})]
    return {
        "methods": {method: {task: study.options_of(task, method) for task in study.tasks} for method in study.methods},
        "seeds": list(study.seeds),
        "recipe": study.recipe,
        "reference": study.reference,
        "missing": [str(run) for run in missing],
        "tasks": {
            task: _task_results(study, task, runs)
            | {"evaluations": evaluation_results(study, directory, task, {m: list(of) for m, of in runs.items()})}
            for task, runs in finished.items()
        },
    }


def _measured(directory: StudyDirectory, run: Run) -> RunRecord:
    record = RunRecord.read(directory.run(run))
    if record.before is None or record.after is None or not record.updates:
        raise UserError(
            f"{record.directory.path} has no measurement of held-out problems, or no metrics: remove it and run it "
            "again"
        )
    return record


def _task_results(study: Study, task: str, runs: RunsBySeed) -> dict[str, Any]:
    _check_measured_alike(task, runs)
    by_seed: dict[int, RunRecord] = {}
    for of_method in runs.values():
        by_seed = {**of_method, **by_seed}
    first = next(iter(by_seed.values())).after
    ks = powers_of_two(first.samples)
    return {
        "samples": first.samples,
        "problems": first.problems,
        "k": ks,
        "before": estimate_pass_at_k(_curves({seed: run.before for seed, run in by_seed.items()}), ks),
        "methods": {method: _method_results(of_method, ks) for method, of_method in runs.items()},
        "comparisons": compare_pass_at_k(
            study.pairs(), {method: _curves(_after(of_method)) for method, of_method in runs.items()}, ks
        ),
    }


def _method_results(runs: dict[int, RunRecord], ks: list[int]) -> dict[str, Any]:
    return {
        "seeds": list(runs),
        "pass_at_k": estimate_pass_at_k(_curves(_after(runs)), ks),
        "measures": {name: mean_and_range([of(run) for run in runs.values()]) for name, of in MEASURES.items()},
        "counts": {
            str(seed): {"before": list(run.before.correct), "after": list(run.after.correct)}
            for seed, run in runs.items()
        },
    }


def _after(runs: dict[int, RunRecord]) -> dict[int, PassRates | None]:
    return {seed: run.after for seed, run in runs.items()}


def _curves(measured: Mapping[int, PassRates | None]) -> Curves:
    return {seed: rates.pass_curves.mean(0).tolist() for seed, rates in measured.items() if rates is not None}


def _check_measured_alike(task: str, runs: RunsBySeed) -> None:
    all_runs = [run for of_method in runs.values() for run in of_method.values()]
    sizes = {rates.samples for run in all_runs for rates in (run.before, run.after)}
    problems = {run.after.problems for run in all_runs}
    if len(sizes) > 1 or len(problems) > 1:
        raise UserError(f"the runs of {task} were not measured alike: {sizes} samples, {problems} problems")
