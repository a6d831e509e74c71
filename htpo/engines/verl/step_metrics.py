"""What the answers of one of verl's steps were like, under the names that TRL's runs have; see docs/metrics.md."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from htpo.engines.rewards import NO_SIGNAL
from htpo.engines.verl.group_facts import session_of

SAME = {
    "step_time": "perf/time_per_step",
    "epoch": "training/epoch",
    "loss": "actor/loss",
    "grad_norm": "actor/grad_norm",
    "learning_rate": "actor/lr",
}
"""Metrics of verl's that mean the same, by our name."""


FILLED = {"sampling/filled_share": 1.0}
"""With dynamic sampling: verl draws until the batch is full, or the limit ends the run."""


@dataclass(frozen=True)
class Answer:
    """An answer to a prompt: a session of verl's, which may be several rows of its batch."""

    prompt: str  # verl's uid of it
    correct: bool
    reward: float  # shaping included
    tokens: int  # that the policy wrote
    cut_off: bool  # at the length limit
    measured: Mapping[str, float] | None = None  # of an episode; see `htpo.playing.measured`


def join_rows(rows: Mapping[str, Answer]) -> list[Answer]:
    """The answers of a batch from its rows, by verl's names of them: of several, the last one's with all tokens."""
    sessions: dict[tuple[str, str], list[tuple[int, Answer]]] = defaultdict(list)
    for key, row in rows.items():
        uid, session, index = session_of(key)
        sessions[uid, session].append((index, row))
    joined = []
    for parts in sessions.values():
        _, last = max(parts, key=lambda part: part[0])
        joined.append(Answer(**{**vars(last), "tokens": sum(row.tokens for _, row in parts)}))
    return joined


def step_metrics(
    answers: Sequence[Answer], *, drawn: int, right: int, wrong: int, filtered_by: str | None
) -> dict[str, float]:
    """Metrics of a step, but for those of the objective.

    Args:
        answers: of all batches that the step trained on.
        drawn: prompts, where dynamic sampling is on.
        right, wrong: prompts that it left out since all answers got one value of its metric, above the threshold of
            correctness or not.
        filtered_by: its metric; None where it is off.
    """
    groups: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        groups[answer.prompt].append(answer)
    rewards = [[answer.reward for answer in group] for group in groups.values()]
    left_out = {"too_easy": right, "too_hard": wrong} if filtered_by == "acc" else {"same_reward": right + wrong}
    return {
        "accuracy": _accuracy(answers, len(groups), *((right, wrong) if filtered_by == "acc" else (0, 0))),
        "reward": statistics.fmean(answer.reward for answer in answers),
        "reward_std": statistics.fmean(statistics.stdev(group) if len(group) > 1 else 0.0 for group in rewards),
        "frac_reward_zero_std": statistics.fmean(len({*group}) == 1 for group in rewards),
        **_lengths(answers),
        **_episodes(answers),
        **(_sampling(drawn, left_out) | FILLED if filtered_by else _sampling(len(groups), _without_signal(groups))),
    }


def recorded(metrics: Mapping[str, Any]) -> dict[str, float]:
    """What a record holds of verl's metrics: numbers, with our names for those that mean the same."""
    ours = {theirs: name for name, theirs in SAME.items()}
    return {
        ours.get(name, name): value.item() if hasattr(value, "item") else value
        for name, value in metrics.items()
        if hasattr(value, "item") or isinstance(value, int | float)
    }


def _lengths(answers: Sequence[Answer]) -> dict[str, float]:
    found = {"clipped_ratio": statistics.fmean(answer.cut_off for answer in answers)}
    of = {"length": answers, "terminated_length": [answer for answer in answers if not answer.cut_off]}
    for name, some in of.items():
        lengths = [answer.tokens for answer in some]
        if lengths:
            found |= {f"mean_{name}": statistics.fmean(lengths), f"min_{name}": min(lengths)}
            found[f"max_{name}"] = max(lengths)
    return {f"completions/{name}": value for name, value in found.items()}


def _episodes(answers: Sequence[Answer]) -> dict[str, float]:
    played = [answer.measured for answer in answers if answer.measured is not None]
    return {f"episodes/{name}": statistics.fmean(each[name] for each in played) for name in played[0]} if played else {}


def _accuracy(answers: Sequence[Answer], prompts: int, right: int, wrong: int) -> float:
    """Share of correct answers, with those to prompts that were left out: as many to each as to the others."""
    samples = len(answers) / prompts
    return (sum(answer.correct for answer in answers) + samples * right) / (len(answers) + samples * (right + wrong))


def _sampling(drawn: int, without_signal: Mapping[str, int]) -> dict[str, float]:
    found = {"drawn": drawn, **{reason: without_signal.get(reason, 0) for reason in NO_SIGNAL}}
    return {f"sampling/groups_{name}": float(prompts) for name, prompts in found.items()}


def _without_signal(groups: Mapping[str, Sequence[Answer]]) -> Counter[str]:
    """Prompts of a batch that teach nothing, by the reason."""
    reasons: Counter[str] = Counter()
    for group in groups.values():
        right = sum(answer.correct for answer in group)
        if right == len(group):
            reasons["too_easy"] += 1
        elif right == 0:
            reasons["cut_off" if all(answer.cut_off for answer in group) else "too_hard"] += 1
    return reasons
