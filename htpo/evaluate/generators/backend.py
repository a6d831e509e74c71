"""`Backend`: how `htpo eval` comes to a generator."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from htpo.errors import UserError
from htpo.evaluate.generators.vocabulary import Generator, SamplingOptions
from htpo.playing.formats import PromptFormat
from htpo.tasks.prompts import Prompt


@dataclass
class BackendOptions:
    """Options of one or several backends; every field is one of `htpo eval`.

    Attributes:
        MAY_CHANGE: those that say only how fast and by what, so that they may change when an evaluation goes on.
    """

    MAY_CHANGE: ClassVar[frozenset[str]] = frozenset()


class Backend(ABC):
    """What generates, before it is started: its options, and what can be refused before a model is loaded.

    Args:
        model: its name.
        chat: whether problems are to be put as chat messages; None: as fits the model.
        options: one of each of the class's `options`.

    Attributes:
        options: dataclasses of what can be set.
        implied_by: the option that chooses this backend where none is named.
        announcement: what is to be said before it starts.
        conversational: whether problems are put as chat messages.
    """

    options: ClassVar[tuple[type[BackendOptions], ...]]
    implied_by: ClassVar[str | None] = None
    announcement: ClassVar[str] = ""
    conversational: bool

    @abstractmethod
    def __init__(self, model: str, sampling: SamplingOptions, chat: bool | None, *options: Any): ...

    @abstractmethod
    def check(self, prompts: Sequence[Prompt]) -> None:
        """Refuse a task's prompts that the model cannot take. Raises `UserError`."""

    @abstractmethod
    def check_episodes(self, told: PromptFormat) -> None:
        """Refuse a way to tell episodes that the model cannot take. Raises `UserError`."""

    @abstractmethod
    def start(self) -> Generator:
        """Load the model, or find its server. Raises `UserError` where that fails."""


def json_object(name: str, text: str | None) -> dict[str, Any]:
    """An option that holds a JSON object. Raises `UserError` where it does not."""
    try:
        content = json.loads(text) if text else {}
    except ValueError as error:
        raise UserError(f"{name} {text!r} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{name} {text!r} must be a JSON object")
    return content


def check_least(options: object, least: dict[str, int]) -> None:
    """Raise `UserError` where a number among the options is below its least."""
    for name, lowest in least.items():
        value = getattr(options, name)
        if value is not None and value < lowest:
            raise UserError(f"{name}={value} must be at least {lowest}")
