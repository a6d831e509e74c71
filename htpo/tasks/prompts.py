"""Prompts as the model sees them."""

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2.exceptions import TemplateError

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
    options = {"add_generation_prompt": True, "tokenize": False, **(template_options or {})}
    text: str = tokenizer.apply_chat_template(prompt, **options)
    return text


def check_template(prompt: Prompt, tokenizer: Any, template_options: Mapping[str, Any] | None = None) -> None:
    """Refuse a chat prompt that the tokenizer's template refuses, or of which it drops the system message.

    Raises:
        UserError: with what the template said, and the remedy.
    """
    if isinstance(prompt, str):
        return
    system = prompt[0]["content"] if prompt[0]["role"] == "system" else None
    remedy = "leave out the system message (--system_prompt)" if system else "use text prompts, or another model"
    try:
        text = as_sent(prompt, tokenizer, template_options)
    except (TemplateError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the model's chat template does not take the prompts ({reason}): {remedy}") from error
    if system and system.strip() not in text:
        raise UserError(f"the model's chat template leaves out the system message: {remedy}")


def tokenize_prompts(
    prompts: Sequence[Prompt], tokenizer: Any, template_options: Mapping[str, Any] | None = None
) -> list[list[int]]:
    """Token ids of every prompt, as the trainer makes them: chat messages through the tokenizer's template.

    Args:
        template_options: of that template, as in {"enable_thinking": False}.

    Raises:
        UserError: chat messages meet a tokenizer without template.
    """
    if not prompts:
        return []
    ids: list[list[int]]
    if isinstance(prompts[0], str):
        ids = tokenizer(text=list(prompts))["input_ids"]
        return ids
    if not getattr(tokenizer, "chat_template", None):
        raise UserError("the prompts are chat messages, but the tokenizer has no chat template: use text prompts")
    as_ids = {"add_generation_prompt": True, "tokenize": True, "return_dict": True}
    ids = tokenizer.apply_chat_template(list(prompts), **as_ids, **(template_options or {}))["input_ids"]
    return ids
