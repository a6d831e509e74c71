"""Any generator of reasoning-gym (2505.24760) as a task, judged by its own scorer in a worker process."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks.prompts import as_chat
from htpo.tasks.puzzles.family import Puzzle, puzzle_task
from htpo.tasks.sources.source import GeneratedSource, Named
from htpo.tasks.task import Task
from htpo.verifiers.reasoning_gym.verifier import CHUNK, CLOSING, OPENING, ReasoningGymVerifier

TEMPLATE = "{prompt}\n\nThink step by step, and give your final answer within <answer> </answer> tags."
CHECKED = 4  # of its own answers, before a generator is used
PREFIX = "reasoning_gym:"
INSTALL = 'pip install "htpo[gym]"'


@dataclass(frozen=True)
class ReasoningGym(GeneratedSource):
    """Puzzles of one generator."""

    words = f"{PREFIX}NAME"
    title = "reasoning_gym"
    options = GeneratedSource.options | {"dataset_config", "system_prompt"}

    config: str | None = None  # its settings as JSON, for instance '{"min_numbers": 3}'

    @classmethod
    def find(cls, label: str) -> Self | None:
        return cls(label, label) if label.startswith(PREFIX) else None

    @classmethod
    def listed(cls) -> tuple[list[Named], str]:
        try:
            from reasoning_gym.factory import DATASETS
        except ImportError:
            return [], f"{cls.words} needs {INSTALL}"
        return [], f"{cls.words}, one of {', '.join(sorted(DATASETS))}"

    def refined(self, given: Mapping[str, Any], *, held_out: bool) -> Self:
        return replace(self, config=given.get("dataset_config"))

    def make(self, train_prompts: int, held_out_prompts: int, seed: int, *, conversational: bool) -> Task:
        """See `puzzle_task`.

        Raises:
            UserError: reasoning-gym is not installed, or knows no such generator or setting.
        """
        generator, settings = self._checked()
        import reasoning_gym

        def entries(rng: random.Random) -> Iterator[Puzzle]:
            while True:
                gym_seed = rng.randrange(2**31)
                made = reasoning_gym.create_dataset(generator, size=CHUNK, seed=gym_seed, **settings)
                for index in range(CHUNK):
                    entry = made[index]
                    yield {
                        "prompt": TEMPLATE.replace("{prompt}", entry["question"]),
                        "solution": f"{OPENING}{entry['answer']}{CLOSING}",
                        "gym_seed": gym_seed,
                        "gym_index": index,
                    }

        stream = entries(random.Random(seed))
        verifier = self.own_verifier()
        plural = f"reasoning_gym {generator} puzzles"
        task = puzzle_task(self.name, plural, lambda _: next(stream), verifier, train_prompts, held_out_prompts, seed)
        _check_scorer(task)
        return _as_chats(task) if conversational else task

    def own_verifier(self) -> ReasoningGymVerifier:
        generator, settings = self._checked()
        return ReasoningGymVerifier(generator, json.dumps(settings))

    def _checked(self) -> tuple[str, dict[str, Any]]:
        """The generator's name and its settings."""
        generator = self.label.removeprefix(PREFIX)
        try:
            import reasoning_gym
            from reasoning_gym.factory import DATASETS
        except ImportError:
            raise UserError(f"reasoning_gym is not installed: {INSTALL}") from None
        if generator not in DATASETS:
            raise UserError(f"reasoning_gym has no generator {generator!r}; `htpo data list` names all {len(DATASETS)}")
        try:
            settings = json.loads(self.config) if self.config else {}
            reasoning_gym.create_dataset(generator, size=1, seed=0, **settings)
        except (ValueError, TypeError, AssertionError) as error:
            raise UserError(f"{self.label} with dataset_config {self.config}: {error}") from error
        return generator, settings


def _check_scorer(task: Task) -> None:
    """Refuse a generator whose scorer does not accept its own answers: nothing could be learnt from it."""
    rows = task.train.select(range(min(CHECKED, len(task.train)))).to_list()
    verdicts = task.verifier.judge([row["solution"] for row in rows], rows)
    task.verifier.close()  # the next answers are far away, and may be judged by another process
    if not all(verdict.correct for verdict in verdicts):
        accepted = sum(verdict.correct for verdict in verdicts)
        raise UserError(f"{task.name}: its scorer accepts only {accepted} of {len(rows)} of its own answers")


def _as_chats(task: Task) -> Task:
    def chats(rows: Dataset) -> Dataset:
        return Dataset.from_list([{**row, "prompt": as_chat(row["prompt"])} for row in rows])

    return replace(task, train=chats(task.train), held_out=chats(task.held_out) if task.held_out else None)
