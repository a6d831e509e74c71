"""Sampling responses with transformers."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from htpo.tasks.prompts import Prompt, tokenize_prompts
from htpo.terminal import progress_bar


def end_tokens(model: PreTrainedModel, tokenizer: Any) -> list[int]:
    """Ids of the tokens that end a response."""
    ids = model.generation_config.eos_token_id or tokenizer.eos_token_id
    return ids if isinstance(ids, list) else [ids]


@torch.inference_mode()
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
    progress: str | None = None,
) -> list[list[list[int]]]:
    """Token ids of `samples` responses to each prompt, up to and including the end-of-sequence token.

    The caller's random state and the model's mode are left as they were.

    Args:
        prompts: text or chat messages.
        batch_size: responses generated at once, at most.
        progress: title of a progress bar; None shows none.
    """
    settings = GenerationConfig(
        do_sample=True,
        temperature=temperature,
        top_p=top_p,
        top_k=0,
        max_new_tokens=max_new_tokens,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=end_tokens(model, tokenizer),
    )
    ends = torch.tensor(settings.eos_token_id, device=model.device)
    jobs = [(index, ids) for index, ids in enumerate(tokenize_prompts(prompts, tokenizer)) for _ in range(samples)]
    responses: list[list[list[int]]] = [[] for _ in prompts]
    was_training = model.training
    model.eval()
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with (
            torch.random.fork_rng(devices=devices),
            progress_bar(progress or "", len(jobs), "response", shown=progress is not None) as bar,
        ):
            torch.manual_seed(seed)
            for start in range(0, len(jobs), batch_size):
                indices, ids = zip(*jobs[start : start + batch_size])
                padded = tokenizer.pad({"input_ids": list(ids)}, padding_side="left", return_tensors="pt")
                output = model.generate(**padded.to(model.device), generation_config=settings)
                new = output[:, padded["input_ids"].shape[1] :]
                # Counted, not searched for padding: a tokenizer may use one token for both padding and end.
                ended = torch.isin(new, ends).int()
                length = (ended.cumsum(1) - ended == 0).sum(1).tolist()
                for index, tokens, count in zip(indices, new.tolist(), length):
                    responses[index].append(tokens[:count])
                bar.update(len(ids))
    finally:
        model.train(was_training)
    return responses
