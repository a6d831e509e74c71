"""The built-in puzzles as sources."""

from collections.abc import Callable
from typing import Self

from htpo.tasks.puzzles import PUZZLE_FAMILIES, maker_of
from htpo.tasks.sources.source import GeneratedSource, Named
from htpo.tasks.task import Task
from htpo.verifiers.verdict import Verifier


class Puzzles(GeneratedSource):
    """One family of the built-in puzzles; its prompts are text, also for a model with a chat template."""

    words = f"built-in puzzles ({', '.join(PUZZLE_FAMILIES)})"
    title = "built-in puzzles"

    @classmethod
    def find(cls, label: str) -> Self | None:
        return cls(label, label) if label in PUZZLE_FAMILIES else None

    @classmethod
    def listed(cls) -> tuple[list[Named], str]:
        return [(name, "its own", "made here", "puzzles with a base policy") for name in PUZZLE_FAMILIES], ""

    def make(self, train_prompts: int, held_out_prompts: int, seed: int, *, conversational: bool) -> Task:
        make_task: Callable[..., Task] = maker_of(self.name)
        return make_task(train_prompts=train_prompts, held_out_prompts=held_out_prompts, seed=seed)

    def own_verifier(self) -> Verifier:
        return self.make(1, 0, 0, conversational=False).verifier
