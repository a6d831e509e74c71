"""Prompts that a model would answer, and nobody would notice, in a way that scores nothing."""

from collections.abc import Callable, Sequence

from htpo.tasks.prompts import Prompt
from htpo.tasks.rows import Example
from htpo.verifiers.math.formats import ANSWER_FORMATS, FINAL_ANSWER_MARK
from htpo.verifiers.reasoning_gym.verifier import OPENING

TEMPLATE_MARKS = (
    "<|im_start|>", "<|start_header_id|>", "<|begin_of_text|>", "[INST]", "<start_of_turn>", "<|user|>", "<|User|>",
    "<\uff5cUser\uff5c>", "<|start|>user", "<|turn>user", "<|START_OF_TURN_TOKEN|>",
)  # fmt: skip
"""What chat templates write, by which a prompt that went through one is known."""

ASKS_FOR = {name: form.mark for name, form in ANSWER_FORMATS.items()}
ASKS_FOR |= {"a line ####": FINAL_ANSWER_MARK, "<answer> tags": OPENING}
"""By form of answer: what a prompt that asks for it contains."""
ASKS_FOR_CODE = "```"
LEAST_SHARE = 0.01  # of the prompts; fewer mention such a thing by chance


def prompt_remarks(label: str, unit: str, rows: Sequence[Example], form: str | None) -> list[str]:
    """Warnings about the prompts of a source, each with a count, an example and the remedy.

    Args:
        label, unit: of the source and of its rows.
        form: the form of answer that is read: a key of `ASKS_FOR`, "code", or None where nothing is known of it.
    """
    texts = [_text(row.prompt) for row in rows]
    found = []

    def warn(what: str, holds: Callable[[str], str | None], remedy: str) -> None:
        marked = [(row.row, mark) for row, text in zip(rows, texts) if (mark := holds(text)) is not None]
        if len(marked) > LEAST_SHARE * len(rows):
            number, mark = marked[0]
            found.append(
                f"WARNING: {len(marked)} of {len(rows)} prompts of {label} {what} ({unit} {number}: {mark}); {remedy}"
            )

    warn(
        "went through a chat template already, and would go through the model's own again",
        lambda text: next((mark for mark in TEMPLATE_MARKS if mark in text), None),
        "give the messages, or the bare text, instead",
    )
    if form is not None:
        read = "a code block" if form == "code" else ASKS_FOR[form]
        warn(
            f"ask for another form of answer than the verifier reads, which is {read}",
            lambda text: _other_form(text, form),
            "change the prompts, or what is read: --answer_format, --answer_pattern or --verifier",
        )
    return found


def _other_form(text: str, form: str) -> str | None:
    """What a prompt asks for in place of the form that is read; None where it asks for that, or for nothing."""
    asked = ASKS_FOR | {"code": ASKS_FOR_CODE}
    if asked[form] in text:
        return None
    return next((mark for other, mark in ASKS_FOR.items() if other != form and mark in text), None)


def _text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(str(message["content"]) for message in prompt)
