"""What is known of whole prompt groups: only the driver sees them, a worker's micro-batch holds parts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from htpo.errors import UserError


@dataclass(frozen=True)
class GroupFacts:
    """By row of verl's batch."""

    correct: Tensor  # (B,) bool
    group_accuracy: Tensor  # (B,) float32 in [0, 1]: share of correct sessions among those of the row's prompt


def group_facts(keys: Sequence[str], correct: Sequence[bool], padding: Sequence[bool]) -> GroupFacts:
    """Correctness and group accuracy from the verdicts of all rows of a batch.

    A session, one answer to a prompt, may be several rows. It counts once, with the verdict of its last row, from which
    verl takes its reward too; all its rows get that verdict.

    Args:
        keys: verl's names of the rows, "{uid}_{session}_{index}".
        correct: verdict of each row.
        padding: rows that verl added to make the batch divisible. They count for no prompt, and are wrong with
            accuracy 0: no token of theirs is trained on.
    """
    last: dict[tuple[str, str], tuple[int, bool]] = {}
    sessions = [session_of(key) for key in keys]
    for (uid, session, index), verdict, added in zip(sessions, correct, padding, strict=True):
        if not added and index >= last.get((uid, session), (0, False))[0]:
            last[uid, session] = index, verdict
    verdicts: dict[str, list[bool]] = defaultdict(list)
    for (uid, _), (_, verdict) in last.items():
        verdicts[uid].append(verdict)
    accuracy = {uid: sum(found) / len(found) for uid, found in verdicts.items()}
    rows = [
        (False, 0.0) if added else (last[uid, session][1], accuracy[uid])
        for (uid, session, _), added in zip(sessions, padding, strict=True)
    ]
    return GroupFacts(
        torch.tensor([verdict for verdict, _ in rows], dtype=torch.bool),
        torch.tensor([share for _, share in rows], dtype=torch.float32),
    )


def verdict_of(extra_fields: Mapping[str, Any], threshold: float) -> bool:
    """Whether a row's answer is correct: what its reward function says under `acc`, which is before any shaping.

    Raises:
        UserError: it does not say.
    """
    said = extra_fields.get("reward_extra_info") or {}
    if "acc" not in said:
        raise UserError(
            f"the reward function says no 'acc' (correct or not), only {', '.join(said) or 'a score'}: let it return "
            '{"score": ..., "acc": ...}'
        )
    return bool(said["acc"] > threshold)


def session_of(key: str) -> tuple[str, str, int]:
    """(uid, session, index); the uid may have underscores of its own."""
    uid, session, index = key.rsplit("_", 2)
    return uid, session, int(index)
