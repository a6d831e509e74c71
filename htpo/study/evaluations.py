"""What a study's evaluations found: pass@k and scores of every benchmark, over seeds and between methods."""

from collections.abc import Mapping, Sequence
from typing import Any

from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory
from htpo.statistics import powers_of_two
from htpo.study.definition import Run, Study
from htpo.study.directory import StudyDirectory
from htpo.study.estimates import compare_pass_at_k, estimate_pass_at_k, mean_and_range

BySeed = dict[int, dict[str, Any]]  # seed -> measures of a benchmark, as `htpo eval` wrote them


def evaluation_results(
    study: Study, directory: StudyDirectory, task: str, seeds: Mapping[str, Sequence[int]]
) -> dict[str, dict[str, Any]]:
    """What was found of the runs of a task, by benchmark; nothing where the study asks for no evaluation.

    Keys: `problems`, `samples`, `k`, `before` (pass@k by k, its interval over problems; None where the policy before
    training was not evaluated), `methods` (for each its `seeds`, `pass_at_k` by k, and `score`, the mean score of
    episodes), `score_before` and `comparisons`, as those of `collect`.

    Args:
        seeds: by method, of the runs that are done.

    Raises:
        UserError: the evaluations are not alike.
    """
    if study.evaluate is None:
        return {}
    found = {
        method: {seed: _measures(directory.evaluation(Run(task, method, seed))) for seed in of_method}
        for method, of_method in seeds.items()
    }
    before = _measures(directory.evaluation_before(task))
    names = list(next(iter(next(iter(found.values())).values())))
    return {
        name: _of_benchmark(
            study,
            f"{task}, {name}",
            before.get(name),
            {method: {seed: of[name] for seed, of in by_seed.items()} for method, by_seed in found.items()},
        )
        for name in names
    }


def _of_benchmark(
    study: Study, name: str, before: dict[str, Any] | None, methods: Mapping[str, BySeed]
) -> dict[str, Any]:
    every = [one for by_seed in methods.values() for one in by_seed.values()] + ([before] if before else [])
    sizes = {(one["problems"], one["samples"]) for one in every}
    if len(sizes) > 1:
        raise UserError(f"the evaluations of {name} are not alike, (problems, samples): {sorted(sizes)}")
    ((problems, samples),) = sizes
    ks = powers_of_two(samples)
    curves = {
        method: {seed: one["pass_at_k"]["value"] for seed, one in by_seed.items()}
        for method, by_seed in methods.items()
    }
    return {
        "problems": problems,
        "samples": samples,
        "k": ks,
        "before": None if before is None else {str(k): _over_problems(before, k) for k in ks},
        "score_before": None if before is None else _score(before),
        "methods": {
            method: {
                "seeds": list(by_seed),
                "pass_at_k": estimate_pass_at_k(curves[method], ks),
                "score": mean_and_range([_score(one) for one in by_seed.values()]),
            }
            for method, by_seed in methods.items()
        },
        "comparisons": compare_pass_at_k(study.pairs(), curves, ks),
    }


def _measures(evaluation: EvaluationDirectory) -> dict[str, dict[str, Any]]:
    stored = evaluation.run.read_json("results.json")
    return {} if stored is None else dict(stored["tasks"])


def _over_problems(measures: Mapping[str, Any], k: int) -> dict[str, Any]:
    return {name: measures["pass_at_k"][name][k - 1] for name in ("value", "low", "high")} | {"seeds": 1}


def _score(measures: Mapping[str, Any]) -> float | None:
    score = measures["mean_score"]
    return None if score is None else float(score["value"])
