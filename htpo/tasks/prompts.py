"""Prompts as the model sees them."""

from collections.abc import Sequence
from typing import Any

from htpo.errors import UserError

Prompt = str | list[dict[str, str]]  # text, or chat messages


def as_chat(text: str) -> Prompt:
    """Text as a chat of one user message."""
    return [{"role": "user", "content": text}]


def tokenize_prompts(prompts: Sequence[Prompt], tokenizer: Any) -> list[list[int]]:
    """Token ids of every prompt, as the trainer makes them: chat messages through the tokenizer's template.

    Raises:
        UserError: chat messages meet a tokenizer without template.
    """
    if not prompts or isinstance(prompts[0], str):
        return tokenizer(text=list(prompts))["input_ids"] if prompts else []
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("the prompts are chat messages, but the tokenizer has no chat template: use text prompts")
    messages = list(prompts)
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)[
        "input_ids"
    ]
