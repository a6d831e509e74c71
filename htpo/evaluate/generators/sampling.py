"""Sampling responses with transformers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from htpo.evaluate.generators.end_tokens import end_tokens
from htpo.evaluate.generators.vocabulary import SamplingOptions

UNCHANGED = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "typical_p": 1.0, "min_p": 0.0}
"""What is left out here, `generate` takes from the model's generation_config.json, which often holds such a setting."""


def sampling_settings(model: PreTrainedModel, tokenizer: Any, options: SamplingOptions) -> GenerationConfig:
    """Plain sampling at a temperature from the nucleus, whatever else the model's own settings say; 0 is greedy."""
    chance = {"do_sample": True, "temperature": options.temperature, "top_p": options.top_p, "top_k": 0}
    return GenerationConfig(
        **(chance if options.temperature > 0 else {"do_sample": False}),
        **UNCHANGED,
        max_new_tokens=options.max_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=end_tokens(model, tokenizer),
    )


def batches_by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Positions in batches of at most `batch_size`, the longest first: little padding, and memory runs out at once."""
    order = sorted(range(len(lengths)), key=lambda position: -lengths[position])
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


@contextmanager
def seeded(model: PreTrainedModel, seed: int) -> Iterator[None]:
    """Sampling under a seed of its own; the caller's random state and the model's mode are left as they were."""
    was_training = model.training
    model.eval()
    try:
        with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        model.train(was_training)


@torch.inference_mode()
def sample_batch(
    model: PreTrainedModel, tokenizer: Any, prompts: Sequence[Sequence[int]], settings: GenerationConfig
) -> list[list[int]]:
    """Token ids of a response to each prompt (token ids), up to and including the end-of-sequence token."""
    padded = tokenizer.pad({"input_ids": list(prompts)}, padding_side="left", return_tensors="pt")
    output = model.generate(**padded.to(model.device), generation_config=settings)
    new = output[:, padded["input_ids"].shape[1] :]
    lengths = up_to_end(new, settings).sum(1).tolist()
    return [tokens[:length] for tokens, length in zip(new.tolist(), lengths)]


def up_to_end(new: Tensor, settings: GenerationConfig) -> Tensor:
    """Of each new id, whether no end token stands before it, (B, T).

    Counted, not searched for padding: a tokenizer may use one token for both padding and end.
    """
    ended = torch.isin(new, torch.tensor(settings.eos_token_id, device=new.device)).int()
    return ended.cumsum(1) - ended == 0
