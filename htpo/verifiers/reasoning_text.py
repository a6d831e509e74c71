"""Reasoning that a model writes between `<think>` and `</think>` before its answer: nothing in it is an answer."""

from collections.abc import Mapping
from typing import Any

OPENING, CLOSING = "<think>", "</think>"


def opens_reasoning(prompt: Any) -> bool:
    """Whether a prompt as the model gets it (text) ends inside reasoning, so that the response only closes it.

    The chat templates of many reasoning models end in `<think>` and a line break.
    """
    return isinstance(prompt, str) and prompt.rstrip().endswith(OPENING)


def after_reasoning(response: str, opened: bool = False) -> str | None:
    """What a response says after its reasoning, the whole of it where there is none; None when reasoning never ends.

    Args:
        response: as it was generated.
        opened: whether the prompt has opened the reasoning.
    """
    _, closed, answer = response.rpartition(CLOSING)
    if OPENING in answer or (opened and not closed):
        return None
    return answer


def answer_part(response: str, row: Mapping[str, Any]) -> str | None:
    """`after_reasoning` for a response to a dataset row.

    Its column `sent` holds the prompt as the model got it, through its chat template, where that is known; else column
    `prompt` is looked at.
    """
    return after_reasoning(response, opens_reasoning(row.get("sent", row.get("prompt"))))
