"""How an episode is told to the policy, and how its action is found in what the policy writes."""

import re
from dataclasses import dataclass
from typing import ClassVar, Protocol

from htpo.environments.environment import Observation
from htpo.errors import UserError


class PromptFormat(Protocol):
    """The words of a conversation between an environment and a policy.

    Attributes:
        chat: whether what the environment shows is a user message, in the tokenizer's chat template; else it is plain
            text, which the policy goes on with until its end token.
    """

    chat: ClassVar[bool]

    def shown(self, observation: Observation, *, first: bool) -> str:
        """What the policy reads before its next turn. The task stands in an episode's first observation."""

    def action(self, written: str) -> str | None:
        """The action in what the policy wrote; None, which is an invalid one, where there is none."""

    def action_start(self, written: str) -> int | None:
        """Where in what the policy wrote thinking ends and its action begins, in characters; None: it only thinks."""


@dataclass(frozen=True)
class VerlAgent:
    """Reasoning and action in tags, and the admissible actions in every turn, as verl-agent asks for them.

    verl-agent tells the last turns anew in every prompt; here a conversation holds them (see `htpo.playing.player`), so
    each is told once.
    """

    chat: ClassVar[bool] = True
    ASKED: ClassVar[str] = (
        "It is your turn to act. First reason step by step about the situation, within <think> </think> tags. Then "
        "give one admissible action within <action> </action> tags."
    )

    def shown(self, observation: Observation, *, first: bool) -> str:
        """See `PromptFormat`."""
        beginning = "You are an expert agent in a text world, and do its task by one action a turn.\n" if first else ""
        refused = "Your last action was none that is admissible.\n" if observation.invalid else ""
        actions = ""
        if observation.actions is not None:
            actions = f"Your admissible actions are: [{', '.join(observation.actions)}].\n"
        return f"{beginning}{refused}Your current observation is: {observation.text}\n{actions}\n{self.ASKED}"

    def action(self, written: str) -> str | None:
        """The first in tags after the reasoning."""
        found = re.search(r"<action>(.*?)</action>", written.rpartition("</think>")[2], re.DOTALL)
        return _one_line(found[1]) if found else None

    def action_start(self, written: str) -> int | None:
        """At the tag before the action, also where none closes it; without that tag, after the reasoning's last."""
        reasoning = written.rfind("</think>")
        after = 0 if reasoning < 0 else reasoning + len("</think>")
        tag = written.find("<action>", after)
        if tag >= 0:
            return tag
        return None if reasoning < 0 else after


@dataclass(frozen=True)
class Compact:
    """`OBSERVATION > ACTION`, nothing else: for small policies with a token per word, which know what is possible."""

    chat: ClassVar[bool] = False

    def shown(self, observation: Observation, *, first: bool) -> str:
        """See `PromptFormat`."""
        return f"{observation.text} >" if first else f" {observation.text} >"

    def action(self, written: str) -> str | None:
        """All of the turn."""
        return _one_line(written)

    def action_start(self, written: str) -> int:
        """At the beginning: all of the turn is the action."""
        return 0


PROMPT_FORMATS: dict[str, PromptFormat] = {"verl_agent": VerlAgent(), "compact": Compact()}
"""By the name that `prompt_format` takes."""


def prompt_format(name: str | None, *, has_chat_template: bool) -> PromptFormat:
    """The format of a name; without one, verl-agent's for a model with a chat template and the compact one else.

    Raises:
        UserError: there is none of this name, or it needs a chat template and the model has none.
    """
    return PROMPT_FORMATS[format_name(name, has_chat_template=has_chat_template)]


def format_name(given: str | None, *, has_chat_template: bool) -> str:
    """The name of what `prompt_format` gives.

    Raises:
        UserError: as `prompt_format`.
    """
    name = given or ("verl_agent" if has_chat_template else "compact")
    if name not in PROMPT_FORMATS:
        raise UserError(f"prompt_format is {name!r}, needs one of {', '.join(PROMPT_FORMATS)}")
    if PROMPT_FORMATS[name].chat and not has_chat_template:
        raise UserError(f"prompt_format {name} needs a model with a chat template, and this has none: use compact")
    return name


def _one_line(text: str) -> str | None:
    return " ".join(text.split()) or None
