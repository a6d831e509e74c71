"""Sampling a batch of token ids with transformers, as a server of verl's answers its agent loops."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, StoppingCriteria, StoppingCriteriaList


@dataclass(frozen=True)
class Sampling:
    """How a request wants its tokens drawn. Requests that want the same are answered together.

    Temperature 0 takes the most probable token. top_k of -1 or 0, top_p of 1 and min_p of 0 leave nothing out.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False

    @classmethod
    def read(cls, asked: Mapping[str, Any], limit: int) -> "Sampling":
        """What verl sends with a request.

        Args:
            limit: tokens of an answer at most.

        Raises:
            ValueError: it asks for what is not done here.
        """
        given = {name: value for name, value in asked.items() if value is not None and name not in ("logprobs", "seed")}
        most = given.pop("max_tokens", given.pop("max_new_tokens", limit))
        given["stop_token_ids"] = tuple(given.get("stop_token_ids", ()))
        unknown = given.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise ValueError(f"sampling by transformers knows no {', '.join(sorted(unknown))}: leave it out")
        return cls(max_tokens=max(1, min(most, limit)), **given)

    def is_finished(self, tokens: Sequence[int], ends: Sequence[int]) -> bool:
        """Whether an answer of these tokens ended by itself or at its limit, and was not broken off."""
        last = tokens[-1:]
        ended = bool(set(last) & {*(() if self.ignore_eos else ends), *self.stop_token_ids})
        return ended or len(tokens) >= self.max_tokens

    def settings(self, ends: Sequence[int], padding: int) -> GenerationConfig:
        """The same for `generate`, with nothing of what the model's own settings say."""
        chance = {
            "do_sample": True,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": max(self.top_k, 0),
            "min_p": self.min_p,
        }
        return GenerationConfig(
            **(chance if self.temperature > 0 else {"do_sample": False}),
            repetition_penalty=self.repetition_penalty,
            no_repeat_ngram_size=0,
            typical_p=1.0,
            max_new_tokens=self.max_tokens,
            pad_token_id=padding,
            eos_token_id=sorted({*(() if self.ignore_eos else ends), *self.stop_token_ids}) or None,
        )


class _When(StoppingCriteria):
    def __init__(self, stop: Callable[[], bool]):
        self.stop = stop

    def __call__(self, input_ids: torch.Tensor, scores: Any, **others: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self.stop(), device=input_ids.device)


@torch.inference_mode()
def sample_tokens(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    ends: Sequence[int],
    padding: int,
    stop: Callable[[], bool] = lambda: False,
) -> list[tuple[list[int], list[float]]]:
    """An answer to each prompt (token ids): its ids, with the token that ended it, and their log-probabilities.

    The log-probabilities are of what was drawn from: after temperature, top_p and the rest.

    Args:
        ends: tokens that end an answer.
        padding: any token's id.
        stop: asked after every token whether to break off.
    """
    width = max(map(len, prompts))
    ids = torch.tensor([[padding] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    settings = sampling.settings(ends, padding)
    output = model.generate(
        ids,
        attention_mask=mask,
        generation_config=settings,
        stopping_criteria=StoppingCriteriaList([_When(stop)]),
        return_dict_in_generate=True,
        output_scores=True,
    )
    tokens = output.sequences[:, width:]
    log_probs = torch.stack(output.scores, 1).float().log_softmax(-1).gather(2, tokens.unsqueeze(2)).squeeze(2)
    # Counted, not searched for padding, which may be a token that ends.
    ended = torch.isin(tokens, torch.tensor(settings.eos_token_id or [], dtype=tokens.dtype)).int()
    lengths = (ended.cumsum(1) - ended == 0).sum(1).tolist()
    return [
        (row[:length], of_row[:length]) for row, of_row, length in zip(tokens.tolist(), log_probs.tolist(), lengths)
    ]
