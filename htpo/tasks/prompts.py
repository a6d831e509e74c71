"""Prompts as the model sees them."""

from collections.abc import Mapping, Sequence
from typing import Any

from htpo.errors import UserError

Prompt = str | list[dict[str, str]]  # text, or chat messages


def as_chat(text: str) -> Prompt:
    """Text as a chat of one user message."""
    return [{"role": "user", "content": text}]


def readable(prompt: Prompt) -> str:
    """A prompt to be read by people: chat messages one after another, each after its role."""
    if isinstance(prompt, str):
        return prompt
    return "\n".join(f"{message.get('role')}: {message.get('content')}" for message in prompt)


def as_sent(prompt: Prompt, tokenizer: Any, template_options: Mapping[str, Any] | None = None) -> str:
    """A prompt as the model sees it: chat messages through the tokenizer's template."""
    if isinstance(prompt, str):
        return prompt
    return tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False, **(template_options or {}))


def tokenize_prompts(
    prompts: Sequence[Prompt], tokenizer: Any, template_options: Mapping[str, Any] | None = None
) -> list[list[int]]:
    """Token ids of every prompt, as the trainer makes them: chat messages through the tokenizer's template.

    Args:
        template_options: of that template, as in {"enable_thinking": False}.

    Raises:
        UserError: chat messages meet a tokenizer without template.
    """
    if not prompts or isinstance(prompts[0], str):
        return tokenizer(text=list(prompts))["input_ids"] if prompts else []
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("the prompts are chat messages, but the tokenizer has no chat template: use text prompts")
    as_ids = {"add_generation_prompt": True, "tokenize": True, "return_dict": True}
    return tokenizer.apply_chat_template(list(prompts), **as_ids, **(template_options or {}))["input_ids"]
