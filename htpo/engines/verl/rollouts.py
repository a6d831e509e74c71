"""Rollouts that a step keeps, from verl's batch on the driver."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from htpo.engines.recording import SAID_OF_EPISODES, draw_rows, rollout, storable
from htpo.engines.verl.batch_fields import PER_TOKEN, before_updates
from htpo.engines.verl.group_facts import GroupFacts, session_of
from htpo.objectives import TableObjective
from htpo.objectives.axes import Cuts
from htpo.playing.verdicts import EPISODE

FIELDS = (*PER_TOKEN, "prompts", "responses", "rm_scores", "reward_model", "extra_info", "extra_fields")
"""What is read of the rows that are kept."""


def choose(keys: Sequence[str], trained_on: Sequence[bool], kept: int, seed: tuple[int, int]) -> list[int]:
    """Up to `kept` rows of a batch, whole prompts first, drawn by seed and step.

    Args:
        keys: verl's names of the rows.
        trained_on: whether a row has policy tokens.
    """
    prompts: dict[str, list[int]] = {}
    for row in sorted(range(len(keys)), key=lambda row: session_of(keys[row])):
        if trained_on[row]:
            prompts.setdefault(session_of(keys[row])[0], []).append(row)
    return draw_rows(list(prompts.values()), kept, np.random.default_rng(seed))


def rollouts_of(
    keys: Sequence[str],
    data: Mapping[str, Any],
    facts: GroupFacts,
    objective: TableObjective,
    cuts: Cuts,
    tokenizer: Any,
) -> list[dict[str, Any]]:
    """Rows of a batch by the columns of `htpo.runs.rollouts`, as the first update of their batch sees them.

    Until then the policy is the one that sampled, so the ratio is 1, and groups and weights follow from its entropy,
    which verl has stored.

    Args:
        keys: verl's names of the rows.
        data: `FIELDS` of them, and `field_of` what of episodes the objective reads: `PER_TOKEN` and the latter,
            "responses" and "rm_scores" padded, (B, T); lists of B otherwise.
        facts: of the rows.
        cuts: thresholds over the whole batch.
    """
    batch = before_updates(facts, data)
    outcome = objective(batch, cuts)
    first = batch.mask.int().argmax(1, keepdim=True)
    by_response = replace(batch, advantage=data["advantages"].gather(1, first))  # 0 where no policy token is
    numbers = _prompt_numbers(keys, data)
    return [
        rollout(
            row,
            by_response,
            outcome,
            tokenizer,
            prompt=list(data["prompts"][row]),
            response=data["responses"][row],
            prompt_id=numbers[row],
            reward=float(data["rm_scores"][row].sum()),
            said=_said(data["reward_model"][row], data["extra_fields"][row]),
        )
        for row in range(len(keys))
        if batch.mask[row].any()
    ]


def _said(reward_model: Any, extra_fields: Mapping[str, Any]) -> dict[str, Any]:
    """The right answer as the data has it, what the reward function found and why it failed, where it says so; and what
    an episode was like."""
    info = extra_fields.get("reward_extra_info") or {}
    gold = (reward_model or {}).get("ground_truth")
    answer = info.get("answer", info.get("pred"))
    said = {"gold": gold or None, "answer": answer, "failure": info.get("failure")}
    episode = (extra_fields.get(EPISODE) or {}).get("said") or dict.fromkeys(SAID_OF_EPISODES)
    return {name: storable(_as_text(value)) for name, value in said.items()} | episode


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, default=str)


def _prompt_numbers(keys: Sequence[str], data: Mapping[str, Any]) -> list[int]:
    """`extra_info.index` of the rows, as verl's data has it; -1 for all where it does not tell prompts apart."""
    uids = [session_of(key)[0] for key in keys]
    given = [(info or {}).get("index") for info in data["extra_info"]]
    numbers = [index for index in given if isinstance(index, int) and index >= 0]
    tell_apart = len(numbers) == len(keys) and len(set(numbers)) == len(set(zip(numbers, uids)))
    return numbers if tell_apart else [-1] * len(keys)
