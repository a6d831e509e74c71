"""What a run keeps of its rollouts: which responses, and what of each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from htpo.objectives import Outcome, TokenBatch
from htpo.playing.player import EpisodeRow
from htpo.runs.rollouts import LONGEST_TEXT

T = TypeVar("T")


def draw_rows(prompts: Sequence[Sequence[T]], kept: int, random: np.random.Generator) -> list[T]:
    """Up to `kept` rows of prompts in random order: whole prompts while they fit, then parts of others."""
    order = [prompts[index] for index in random.permutation(len(prompts))]
    whole: list[T] = []
    cut: list[T] = []
    for rows in order:
        if len(whole) + len(rows) <= kept:
            whole += rows
        else:
            cut += rows
    return whole + cut[: kept - len(whole)]


def storable(text: str | None) -> str | None:
    """A text as `gold` and `answer` are kept: cut, and with question marks for half characters, which UTF-8 has not."""
    if text is None:
        return None
    cut = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"
    return cut.encode("utf-8", "replace").decode()


SAID_OF_EPISODES = ("task_type", "score", "actions", "invalid", "forgotten")


def said_of_episode(played: EpisodeRow) -> dict[str, Any]:
    """What a rollout keeps of an episode beside its tokens, by `SAID_OF_EPISODES`."""
    episode, task_type = played.episode, storable(str(played.episode.row["task_type"]))
    actions, forgotten = list(map(storable, episode.actions)), list(played.forgotten)
    values = task_type, episode.score, actions, list(episode.invalid), forgotten
    return dict(zip(SAID_OF_EPISODES, values, strict=True))


def rollout(
    row: int,
    batch: TokenBatch,
    outcome: Outcome,
    tokenizer: Any,
    *,
    prompt: list[int],
    response: Tensor,
    prompt_id: int,
    reward: float,
    said: Mapping[str, Any],
) -> dict[str, Any]:
    """One response by the columns of `htpo.runs.rollouts`.

    Args:
        row: its row in the batch and in the outcome.
        prompt: token ids, without padding.
        response: (T,) int, token ids.
        prompt_id: the prompt's row in the data; below 0 where it is not known.
        said: what was said of it: gold, answer and failure; of an episode also its task type, score and actions.
    """
    mask = batch.mask[row]

    def text(ids: list[int]) -> str:
        return tokenizer.decode(ids, skip_special_tokens=True)

    token_ids = response[mask].tolist()
    group = None if outcome.group is None else outcome.group[row][mask].tolist()
    return {
        "prompt_id": None if prompt_id < 0 else prompt_id,
        "prompt": text(prompt),
        "response": text(token_ids),
        **said,
        **(
            _turns(batch, row, response, text)
            if said.get("actions") is not None
            else {"turn_tokens": None, "shown": None}
        ),
        "correct": bool(batch.correct[row]),
        "group_accuracy": float(batch.group_accuracy[row]),
        "reward": reward,
        "advantage": float(batch.advantage[row].flatten()[0]),
        "token_ids": token_ids,
        "tokens": [tokenizer.decode([token]) for token in token_ids],
        "log_prob": batch.log_prob[row].detach()[mask].float().tolist(),
        "old_log_prob": batch.old_log_prob[row][mask].float().tolist(),
        "entropy": batch.entropy[row][mask].float().tolist(),
        "group": [0] * len(token_ids) if group is None else group,
        "weight": outcome.weight[row][mask].float().tolist(),
    }


def _turns(batch: TokenBatch, row: int, response: Tensor, text: Callable[[list[int]], str]) -> dict[str, Any]:
    """The tokens of every turn of an episode, counted, and what was shown after each that another one follows.

    Where the batch does not know turns, what is sampled in one go is one.
    """
    mask = batch.mask[row]
    begins = mask & ~torch.nn.functional.pad(mask, (1, 0))[:-1]
    numbers = (begins.cumsum(0) if batch.turn is None else batch.turn[row]).masked_fill(~mask, 0).tolist()
    turn_tokens = [0] * max(numbers, default=0)
    shown: list[list[int]] = [[] for _ in turn_tokens]
    last = 0
    for number, token in zip(numbers, response.tolist(), strict=True):
        if number:
            last = number
            turn_tokens[number - 1] += 1
        elif last:
            shown[last - 1].append(token)
    return {"turn_tokens": turn_tokens, "shown": list(map(text, shown[:-1]))}
