"""Runs of a study as they lie on disk when done, written without training."""

import numpy as np

from htpo.objectives import make_objective
from htpo.study import Study, StudyDirectory


def finish(study: Study, path, accuracy, *, problems=40, samples=16, updates=40, skip=()) -> StudyDirectory:
    """A study directory with all runs done but those of `skip`.

    `accuracy` gives each method's mean solve rate after training; 0 and 1 are exact, others vary by seed and problem.
    """
    directory = StudyDirectory(path)
    directory.begin(study, {})
    for run in study.runs():
        if run in skip:
            continue
        draw = np.random.default_rng([run.seed, sorted(study.methods).index(run.method)])
        shared = np.random.default_rng(run.seed)
        level = accuracy[run.method]
        solve = np.full(problems, level) if level in (0, 1) else shared.beta(level * 2, (1 - level) * 2, problems)
        files = directory.run(run)
        objective = study.methods[run.method].get("objective", "htpo")
        files.create({"objective": run.method, "seed": run.seed})
        for when, rate in (("before", np.full(problems, 0.3)), ("after", solve)):
            counts = (shared if when == "before" else draw).binomial(samples, rate)
            files.write_json(f"evaluation_{when}.json", evaluation(counts.tolist(), samples))
        for step in range(1, updates + 1):
            noise = draw.normal(scale=0.05, size=2)
            files.append_metrics(record(step, step / updates, noise, objective))
        files.append_metrics({"step": updates, "train_loss": 0.0})
        files.write_json("objective.json", make_objective(objective).describe())
        files.write_json("summary.json", {"seconds": 1.0})
    return directory


def evaluation(correct: list[int], samples: int) -> dict:
    rates = {"samples": samples, "correct": correct, "mean_length": 17.0, "truncated": 0.0}
    return rates | {"failures": {}, "examples": []}


def record(step: int, done: float, noise, objective: str = "htpo") -> dict:
    return {
        "step": step,
        "accuracy": 0.2 + 0.3 * done + noise[0],
        "entropy": 0.3 - 0.2 * done + noise[1] / 5,
        "completions/mean_length": 17.0 + done,
        "sampling/groups_drawn": 10.0,
        "step_time": 0.6,
        "differs_from_ppo": 0.055 if objective == "htpo" else 0.0,
    }
