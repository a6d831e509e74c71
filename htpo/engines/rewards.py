"""What reward functions say of sampled responses: which are scored, which are correct, which groups can teach."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SIGNALS = ("reward", "correctness")
"""What must differ within a prompt's answers for them to carry a signal."""

NO_SIGNAL = {
    "too_easy": "were answered always right (too easy)",
    "too_hard": "were answered always wrong (too hard)",
    "same_reward": "got the same reward for every answer",
    "cut_off": "had every answer cut off at the response limit",
    "unscored": "had fewer than two answers that could be scored",
}
"""Why a prompt's answers carry no signal, and how to say it of several prompts."""


@dataclass(frozen=True)
class Scores:
    """What N responses earned, the samples of a prompt contiguous. Of an unscored response nothing else is known."""

    scored: Tensor  # (N,) bool: there is a verdict
    correct: Tensor  # (N,) bool; False where unscored
    reward: Tensor  # (N,) float: weighted sum over all functions; NaN where unscored
    unshaped: Tensor  # (N,) float: the same without the soft overlong punishment
    group_accuracy: Tensor  # (N,) float: share of correct among the scored responses to the prompt; 0 if there are none


def by_threshold(judged: Tensor, threshold: float = 0.0) -> tuple[Tensor, Tensor]:
    """What functions that judge correctness say; of several (one per kind of task) the first that gave a number counts.

    Args:
        judged: (N, K) float, of K such functions; NaN or infinite where one gave no number.
        threshold: a response is correct when that number is above it.

    Returns:
        (scored, correct), (N,) bool each.
    """
    first = judged.isfinite().int().argmax(1, keepdim=True)
    value = judged.gather(1, first).squeeze(1)
    scored = value.isfinite()
    return scored, scored & (value > threshold)


def score(
    rewards: Tensor,
    weights: Tensor,
    group_size: int,
    *,
    scored: Tensor,
    correct: Tensor,
    shaping: Sequence[int] = (),
) -> Scores:
    """Scores from the rewards of F functions, and from verdicts.

    Args:
        rewards: (N, F) float; NaN where a function gave none. Infinite counts as none.
        weights: (F,) float.
        group_size: samples per prompt, a divisor of N.
        scored, correct: (N,) bool: there is a verdict, and it is that the response is right.
        shaping: columns that shape the reward by length.
    """
    weighted = torch.where(rewards.isfinite(), rewards, torch.nan) * weights
    unshaped = weighted.clone()
    unshaped[:, list(shaping)] = torch.nan
    correct = correct & scored
    return Scores(
        scored=scored,
        correct=correct,
        reward=weighted.nansum(1).masked_fill(~scored, torch.nan),
        unshaped=unshaped.nansum(1).masked_fill(~scored, torch.nan),
        group_accuracy=group_accuracy(correct, scored, group_size),
    )


def group_accuracy(correct: Tensor, scored: Tensor, group_size: int) -> Tensor:
    """(N,) float: of each row's group the share of correct among the scored; 0 if there are none.

    Args:
        correct, scored: (N,) bool; what is correct is scored.
        group_size: samples per prompt, a divisor of N.
    """
    right, known = (flags.view(-1, group_size).float().sum(1) for flags in (correct, scored))
    return (right / known.clamp(min=1)).repeat_interleave(group_size)


def without_signal(scores: Scores, group_size: int, signal: str, cut_off: Tensor) -> list[str | None]:
    """For each prompt the reason (a key of `NO_SIGNAL`) why its answers carry no signal; None where they do.

    Args:
        signal: "correctness": right and wrong answers (DAPO, 2503.14476, equation 11); "reward": answers whose rewards
            differ before the soft overlong punishment, which is the same where the reward is correctness.
        cut_off: (N,) bool: responses that the length limit ended.
    """
    scored, correct, cut = (x.view(-1, group_size) for x in (scores.scored, scores.correct, cut_off))
    known, right = scored.sum(1), correct.sum(1)
    reward = scores.unshaped.view(-1, group_size)
    lowest = reward.masked_fill(~scored, torch.inf).amin(1)
    highest = reward.masked_fill(~scored, -torch.inf).amax(1)
    mixed = (right > 0) & (right < known)
    teaches = (known > 1) & (mixed if signal == "correctness" else highest > lowest)
    reasons = {
        "unscored": known < 2,
        "too_easy": right == known,
        "cut_off": (cut | ~scored).all(1) & (right == 0),
        "too_hard": right == 0,
        "same_reward": torch.ones_like(teaches),
    }
    first = torch.stack(list(reasons.values())).int().argmax(0)
    return [None if good else list(reasons)[index] for good, index in zip(teaches.tolist(), first.tolist())]
