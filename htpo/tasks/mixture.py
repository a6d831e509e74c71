"""Several sources as one task: drawn by weight, each judged by its own verifier."""

import math
from collections.abc import Sequence
from typing import Any

from datasets import Dataset, concatenate_datasets, interleave_datasets

from htpo.errors import UserError
from htpo.tasks.task import Task
from htpo.verifiers.verdict import Verdict, Verifier


def shares(sources: Sequence[Any], weights: Sequence[float] | None) -> list[float]:
    """The weights as shares of 1; equal ones where none are given.

    Raises:
        UserError: there are not as many as sources, or they are no positive numbers.
    """
    if weights is None:
        return [1 / len(sources)] * len(sources)
    if len(weights) != len(sources) or not all(0 < weight < math.inf for weight in weights):
        raise UserError(f"dataset_weights {weights}: give one positive number for each of the {len(sources)} datasets")
    return [weight / sum(weights) for weight in weights]


class MixtureVerifier:
    """Hands every response to the verifier of the source that its row names in the column `source`."""

    def __init__(self, verifiers: dict[str, Verifier]):
        self.verifiers = verifiers
        self.graded = any(getattr(verifier, "graded", False) for verifier in verifiers.values())

    def judge(self, responses: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Verdict]:
        """One verdict per response, in order."""
        verdicts: dict[int, Verdict] = {}
        for name, verifier in self.verifiers.items():
            own = [index for index, row in enumerate(rows) if row["source"] == name]
            judged = verifier.judge([responses[i] for i in own], [rows[i] for i in own]) if own else []
            verdicts.update(zip(own, judged, strict=True))
        return [verdicts[index] for index in range(len(responses))]

    def close(self) -> None:
        """Close them all."""
        for verifier in self.verifiers.values():
            verifier.close()


def mix_tasks(names: Sequence[str], tasks: Sequence[Task], weights: Sequence[float] | None, seed: int) -> Task:
    """One task of several.

    With weights, prompts to train on are drawn by them until every source has been seen whole, so smaller sources
    repeat; without, all prompts are there once.

    Raises:
        UserError: two sources have one name, or some have chat prompts and others text.
    """
    if len(set(names)) < len(names):
        raise UserError(f"the datasets {', '.join(names)} cannot be told apart by name; give each once")
    kinds = ["text" if isinstance(task.train[0]["prompt"], str) else "chat" for task in tasks]
    if len(set(kinds)) > 1:
        listed = ", ".join(f"{name}: {kind}" for name, kind in zip(names, kinds))
        raise UserError(f"chat prompts and text prompts cannot be mixed ({listed})")
    parts = [_named(task.train, name) for name, task in zip(names, tasks)]
    if weights is None:
        train = concatenate_datasets(parts)
    else:
        share = shares(names, weights)
        train = interleave_datasets(parts, probabilities=share, seed=seed, stopping_strategy="all_exhausted")
    held_out = [_named(task.held_out, name) for name, task in zip(names, tasks) if task.held_out is not None]
    described = "; ".join(task.description for task in tasks)
    how = "all once" if weights is None else ", ".join(f"{n} {s:.0%}" for n, s in zip(names, shares(names, weights)))
    return Task(
        name="+".join(names),
        train=train,
        held_out=concatenate_datasets(held_out) if held_out else None,
        verifier=MixtureVerifier({name: task.verifier for name, task in zip(names, tasks)}),
        description=f"{len(train)} prompts of {len(tasks)} sources ({how}): {described}",
    )


def _named(rows: Dataset, name: str) -> Dataset:
    return rows.add_column("source", [name] * len(rows))
