"""A tiny Qwen3 and its fitting to demonstrations: what the scripts share that make policies."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

IGNORED = -100  # label of what is not learnt
PEAK_LEARNING_RATE = 3e-3

Batch = tuple[torch.Tensor, torch.Tensor]
"""Ids and labels, (B, T)."""


def word_tokenizer(words: Iterable[str], pre_tokenizer: Any, decoder: Any = None) -> PreTrainedTokenizerFast:
    """A token per word, as `pre_tokenizer` finds them; without a decoder, spaces stand between them."""
    vocabulary = {word: number for number, word in enumerate(["<pad>", "<eos>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizer
    if decoder is not None:
        tokenizer.decoder = decoder
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )


def tiny_qwen(tokenizer: PreTrainedTokenizerFast, **config: int) -> Qwen3ForCausalLM:
    """Three layers, 64 wide, where `config` does not say otherwise."""
    return Qwen3ForCausalLM(
        Qwen3Config(
            **{
                "vocab_size": len(tokenizer),
                "hidden_size": 64,
                "num_hidden_layers": 3,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "head_dim": 16,
                "intermediate_size": 192,
                "tie_word_embeddings": True,
                "initializer_range": 0.05,
                "pad_token_id": tokenizer.pad_token_id,
                "eos_token_id": tokenizer.eos_token_id,
                "bos_token_id": None,
                **config,
            }
        )
    )


def fit(
    model: Qwen3ForCausalLM,
    draw: Callable[[], Batch],
    steps: int,
    learning_rate: float = PEAK_LEARNING_RATE,
    warmup: int = 0,
) -> None:
    """Fit a model to batches as they are drawn, the learning rate falling to nothing along a cosine.

    Batches are padded on the right, where a causal model needs no mask for it.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    cosine = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / (warmup + 1)) * (0.5 + 0.5 * math.cos(math.pi * step / steps)),
    )
    bar = tqdm(range(steps), unit="step")
    for _ in bar:
        ids, labels = draw()
        hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
        learnt = labels[:, 1:] != IGNORED
        loss = cross_entropy(model.lm_head(hidden[learnt]), labels[:, 1:][learnt])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        cosine.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write both, and say how large they are."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{sum(each.numel() for each in model.parameters()):,} parameters, {size / 1e6:.2f} MB, written to {folder}")
