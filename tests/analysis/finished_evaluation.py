"""Finished evaluations with real words as responses, written without a model."""

from pathlib import Path

import numpy as np
from datasets import Dataset

from htpo.evaluate import EvaluationDirectory
from htpo.tasks.task import Problems
from tests.analysis.finished_run import SENTENCES


def write_evaluation(
    path: Path, tasks: dict[str, int], *, samples: int = 8, rate: float = 0.5, sent: str | None = None, **config
) -> EvaluationDirectory:
    """An evaluation of tasks (name -> problems); of every task the first response is empty and wrong.

    `sent` is what the model got as prompt; default: the problem.
    """
    draw = np.random.default_rng(0)
    evaluation = EvaluationDirectory(path)
    asked = {name: [f"problem {number} of {name}:" for number in range(1, n + 1)] for name, n in tasks.items()}
    described = [Problems(name, Dataset.from_dict({"prompt": each}), None, name) for name, each in asked.items()]
    options = {"model": "some/model", "samples": samples, "backend": "transformers", "chat": None}
    evaluation.begin(options | config, described)
    for name, prompts in asked.items():
        rows = []
        for number, prompt in enumerate(prompts, start=1):
            for sample in range(1, samples + 1):
                first = not rows
                response = "" if first else "".join(draw.choice(SENTENCES, size=2))
                correct = not first and bool(draw.random() < rate)
                row = {
                    "problem": number,
                    "sample": sample,
                    "prompt": sent or prompt,
                    "response": response,
                    "tokens": 20,
                }
                row |= {"finished": True, "correct": correct, "score": None, "extracted": str(int(correct))}
                rows.append(row | {"failure": None})
        evaluation.store(name).append(rows)
    evaluation.write_results(evaluation.samples(), {})
    return evaluation
