"""Sampling responses with transformers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from htpo.evaluate.generators.end_tokens import end_tokens
from htpo.tasks.prompts import Prompt, tokenize_prompts
from htpo.terminal import progress_bar

UNCHANGED = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "typical_p": 1.0, "min_p": 0.0}
"""What is left out here, `generate` takes from the model's generation_config.json, which often holds such a setting."""


def sampling_settings(
    model: PreTrainedModel, tokenizer: Any, *, max_new_tokens: int, temperature: float = 1.0, top_p: float = 1.0
) -> GenerationConfig:
    """Plain sampling at a temperature from the nucleus, whatever else the model's own settings say; 0 is greedy."""
    chance = {"do_sample": True, "temperature": temperature, "top_p": top_p, "top_k": 0}
    return GenerationConfig(
        **(chance if temperature > 0 else {"do_sample": False}),
        **UNCHANGED,
        max_new_tokens=max_new_tokens,
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
    # Counted, not searched for padding: a tokenizer may use one token for both padding and end.
    ended = torch.isin(new, torch.tensor(settings.eos_token_id, device=new.device)).int()
    lengths = (ended.cumsum(1) - ended == 0).sum(1).tolist()
    return [tokens[:length] for tokens, length in zip(new.tolist(), lengths)]


def sample_responses(
    model: PreTrainedModel,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    *,
    samples: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 256,
    template_options: Mapping[str, Any] | None = None,
    progress: str | None = None,
) -> list[list[list[int]]]:
    """Token ids of `samples` responses to each prompt, up to and including the end-of-sequence token.

    The caller's random state and the model's mode are left as they were.

    Args:
        prompts: text or chat messages.
        batch_size: responses generated at once, at most; those to prompts of about the same length go together.
        template_options: of the tokenizer's chat template.
        progress: title of a progress bar; None shows none.
    """
    settings = sampling_settings(model, tokenizer, max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p)
    tokenized = tokenize_prompts(prompts, tokenizer, template_options)
    jobs = [(index, ids) for index, ids in enumerate(tokenized) for _ in range(samples)]
    responses: list[list[list[int]]] = [[] for _ in prompts]
    with (
        seeded(model, seed),
        progress_bar(progress or "", len(jobs), "response", shown=progress is not None) as bar,
    ):
        for batch in batches_by_length([len(ids) for _, ids in jobs], batch_size):
            for position, tokens in zip(
                batch, sample_batch(model, tokenizer, [jobs[position][1] for position in batch], settings)
            ):
                responses[jobs[position][0]].append(tokens)
            bar.update(len(batch))
    return responses
