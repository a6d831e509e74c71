"""The vocabulary of generation: what is asked of a model, what comes back, and the seeds."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from htpo.environments import EnvironmentWorkers
from htpo.errors import UserError
from htpo.playing.formats import PromptFormat
from htpo.playing.player import EpisodeRow, Turns
from htpo.tasks.prompts import Prompt

Key = tuple[int, int]
"""(problem, sample)"""


@dataclass(frozen=True)
class Request:
    """One response that is wanted."""

    problem: int  # its number in the task
    sample: int  # 1..samples
    prompt: Prompt  # the same for all samples of a problem

    @property
    def key(self) -> Key:
        """What tells it from all others of the task."""
        return self.problem, self.sample


@dataclass(frozen=True)
class Response:
    """What a model answered."""

    request: Request
    sent: str  # the prompt as the model got it; of a chat server the messages as JSON
    text: str
    tokens: int | None  # generated, the one that ended it included; None when a server does not say
    finished: bool  # whether the model ended it; False: cut at the token limit
    reasoning: str | None = None  # what a server keeps apart from the text; never judged
    prompt_tokens: int | None = None  # where a server says them


@dataclass(frozen=True)
class EpisodeRequest:
    """One episode that is wanted."""

    problem: int  # its number in the task
    sample: int  # 1..samples
    task: Mapping[str, Any]  # as the environment takes it; the same for all samples of a problem

    @property
    def key(self) -> Key:
        """What tells it from all others of the task."""
        return self.problem, self.sample


@dataclass(frozen=True)
class EpisodeSettings:
    """How episodes are played, whatever the policy."""

    worlds: EnvironmentWorkers
    told: PromptFormat
    max_turn_tokens: int
    seed: int  # of the environment, for all of them
    history_length: int | None = None  # turns that are shown, at most; None: all that fit


@dataclass(frozen=True)
class Played:
    """An episode that was played."""

    request: EpisodeRequest
    row: EpisodeRow
    turns: Turns  # which make texts of its ids
    turn_tokens: Sequence[int | None]  # generated, turn by turn, the one that ended it included; None: not known
    cut_off: Sequence[bool]  # turn by turn: it came to the limit of a turn before the model ended it
    reasoning: str | None = None  # what a server keeps apart from the texts


@dataclass(frozen=True)
class SamplingOptions:
    """How responses are drawn, whatever draws them."""

    temperature: float = 1.0
    top_p: float = 0.7
    max_tokens: int = 20480
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < 100:
            raise UserError(f"temperature={self.temperature} must be 0 (greedy) or above")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p={self.top_p} must be above 0 and at most 1 (1 cuts nothing off)")
        if self.max_tokens < 1:
            raise UserError(f"max_tokens={self.max_tokens} must be at least 1")


class Generator(ABC):
    """Draws responses."""

    @abstractmethod
    def generate(self, task: str, requests: Sequence[Request], done: Set[Key]) -> Iterator[list[Response]]:
        """Responses in any order, in lists as they come; each list is stored before the next is asked for.

        Args:
            task: its name, a part of every seed.
            requests: all of the task's, so that what is drawn together does not depend on what is done.
            done: of those that need no answer any more.
        """

    @abstractmethod
    def play(
        self, task: str, settings: EpisodeSettings, requests: Sequence[EpisodeRequest], done: Set[Key]
    ) -> Iterator[list[Played]]:
        """Episodes, each whole, in any order, in lists as they come; otherwise as `generate`."""

    @property
    def longest_context(self) -> int | None:
        """Tokens that a prompt and what follows it may have together, where that is known."""
        return None

    def beyond_context(self, prompts: Sequence[Prompt]) -> str | None:
        """What is to be said where prompt and response may be longer than the model takes; else None."""
        return None

    def notes(self) -> dict[str, Any]:
        """What is worth storing about what it did."""
        return {}

    def remarks(self) -> list[str]:
        """The same where it is worth saying, in words."""
        return []


def derived_seed(*parts: object) -> int:
    """A seed in 0..2^31 - 1 that depends on all parts and nothing else."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
