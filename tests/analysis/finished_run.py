"""Runs and texts with real words as tokens, written without training or sampling."""

import json
import re
from pathlib import Path

import numpy as np

from htpo.objectives import make_objective
from htpo.runs import RunDirectory

FORKS = {" However", " Therefore", " Suppose", " because", " hence", " since", " Let", " Wait", " so", " then"}
SENTENCES = [
    " Suppose the first number is seven and the second number is three.",
    " Let x denote the sum of both numbers, so x equals ten.",
    " However the product of both numbers equals twenty one.",
    " Therefore the answer is ten because the question asks for the sum.",
    " Wait, the second number is smaller, hence the difference equals four.",
    " The sum equals ten since seven plus three equals ten, then we stop.",
    " Dividing forty two by six equals seven.",
    " The square of three equals nine and the square of seven equals forty nine.",
]
PIECES = re.compile(r" ?[A-Za-z]+|[^A-Za-z ]")


def tokens_of(text: str) -> list[str]:
    """Words with their leading space, long ones split in two as a sub-word vocabulary does."""
    pieces = []
    for piece in PIECES.findall(text):
        pieces += [piece[:5], piece[5:]] if len(piece) > 8 and piece not in FORKS else [piece]
    return pieces


def write_run(
    path: Path,
    *,
    objective: str = "htpo",
    only: str | None = None,
    seed: int = 0,
    updates: int = 24,
    every: int = 6,
    prompts: int = 8,
    samples: int = 4,
) -> RunDirectory:
    """A finished run whose high-entropy tokens are mostly logic words, and more uncertain in wrong responses.

    Args:
        every: updates of which rollouts are kept, beside the first; 0: none are, and a page is drawn in a quarter.
    """
    draw = np.random.default_rng(seed)
    run = RunDirectory(path)
    run.create({"objective": objective, "objective_options": {"only": only} if only else None, "seed": seed})
    run.write_json("objective.json", make_objective(objective).describe() | {"options": {"only": only}})
    for when, rate in (("before", 0.3), ("after", 0.5)):
        counts = draw.binomial(8, draw.beta(rate * 3, (1 - rate) * 3, 24)).tolist()
        rates = {"samples": 8, "correct": counts, "mean_length": 30.0, "truncated": 0.0, "failures": {}, "examples": []}
        run.write_json(f"evaluation_{when}.json", rates)
    for step in range(1, updates + 1):
        run.append_metrics(_record(step, step / updates, draw, objective))
        if every and (step == 1 or step % every == 0):
            run.write_rollouts(step, _rollouts(draw, objective, prompts, samples))
    return run


def _record(step: int, done: float, draw: np.random.Generator, objective: str) -> dict:
    record = {
        "step": step,
        "accuracy": 0.3 + 0.3 * done + draw.normal(scale=0.03),
        "entropy": 0.6 - 0.3 * done + draw.normal(scale=0.02),
        "completions/mean_length": 30 + 3 * done,
        "reward": 0.3 + 0.3 * done,
        "clip/region_fraction": 0.002,
    }
    if objective == "htpo":
        for number in range(1, 9):
            level = 1.4 if number % 2 == 0 else 0.2
            record[f"group/G{number}/entropy"] = level - 0.3 * done + draw.normal(scale=0.02)
    return record


def _rollouts(draw: np.random.Generator, objective: str, prompts: int, samples: int) -> dict[str, list]:
    names = [
        "prompt",
        "response",
        "gold",
        "answer",
        "failure",
        "correct",
        "group_accuracy",
        "reward",
        "advantage",
        "token_ids",
        "tokens",
        "log_prob",
    ]
    columns: dict[str, list] = {name: [] for name in [*names, "old_log_prob", "entropy", "group", "weight"]}
    for prompt in range(prompts):
        right = 1 if prompt % 2 else samples - 1
        for sample in range(samples):
            correct = sample < right
            response = "".join(draw.choice(SENTENCES, size=3))
            tokens = tokens_of(response)
            forks = np.array([token in FORKS for token in tokens])
            entropy = np.where(forks, 1.2 + 0.5 * (not correct), 0.2) + draw.exponential(0.1, len(tokens))
            high = entropy >= np.sort(entropy)[-max(len(tokens) // 5, 1)]
            cell = 4 * (right / samples >= 0.6) + 2 * (not correct)
            log_prob = -draw.exponential(entropy)
            row = {
                "prompt": f"problem {prompt}",
                "response": response,
                "gold": f"{prompt + 10}",
                "answer": f"{prompt + 10 + (not correct)}" if sample % 2 else None,
                "failure": None if correct or sample % 2 else "unparsable",
                "correct": correct,
                "group_accuracy": right / samples,
                "reward": float(correct),
                "advantage": 1.0 if correct else -1.0,
                "token_ids": list(range(len(tokens))),
                "tokens": tokens,
                "log_prob": log_prob.tolist(),
                "old_log_prob": log_prob.tolist(),
                "entropy": entropy.tolist(),
                "group": (cell + 1 + high).tolist() if objective == "htpo" else [0] * len(tokens),
                "weight": [1.0] * len(tokens),
            }
            for name, values in columns.items():
                values.append(row[name])
    return columns


def write_study(path: Path, methods: dict[str, str | None], seeds: int = 2, task: str = "sums") -> Path:
    """A study's folder with runs of `methods`: name -> the group that is alone, or None for DAPO."""
    for name, only in methods.items():
        for seed in range(seeds):
            (path / "runs" / task / name).mkdir(parents=True, exist_ok=True)
            objective = "htpo" if only else "dapo"
            write_run(path / "runs" / task / name / f"seed-{seed}", objective=objective, only=only, seed=seed)
    (path / "study.yaml").write_text(json.dumps({"methods": {name: {} for name in methods}, "reference": "dapo"}))
    return path


def write_texts(path: Path, prompts: int = 12, samples: int = 2) -> Path:
    """A file of texts, the first response to each prompt correct; no prompt says how often it is solved."""
    draw = np.random.default_rng(0)
    rows = [
        {"prompt": f"problem {p}:", "response": "".join(draw.choice(SENTENCES, size=3)), "correct": s == 0}
        for p in range(prompts)
        for s in range(samples)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
