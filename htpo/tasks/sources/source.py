"""What the kinds of `--dataset` have in common. A kind is a subclass of `Source`; `htpo.tasks.sources` lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from htpo.errors import UserError
from htpo.tasks.rows import RawRows, first_line
from htpo.tasks.task import Task
from htpo.verifiers.verdict import Verifier

Named = tuple[str, str, str, str]  # of a source: name, verifier, Hugging Face id, what it is


@dataclass(frozen=True)
class Source:
    """One source of prompts, found but not read.

    Attributes:
        words: which labels the kind takes, for the help of `--dataset`.
        title: what sources of the kind are called, for messages.
        options: those of `DataOptions` that have an effect on them.
        label: the source as the user gave it.
        name: short, for tables and folders.
    """

    words: ClassVar[str]
    title: ClassVar[str]
    options: ClassVar[frozenset[str]] = frozenset()

    label: str
    name: str

    @classmethod
    def find(cls, label: str) -> "GeneratedSource | ReadSource | None":
        """The source that a label names; None where it names none of this kind.

        Raises:
            UserError: it is of this kind, but it cannot be told which one.
        """
        raise NotImplementedError

    @classmethod
    def listed(cls) -> tuple[list[Named], str]:
        """For `htpo data list`: the sources of this kind that have a name, and a line about the kind."""
        return [], ""

    def refined(self, given: Mapping[str, Any], *, held_out: bool) -> Self:
        """The source with what else the user said of it.

        Args:
            given: the options that are not at their default.
            held_out: whether the problems are to be held out from training.
        """
        return self


@dataclass(frozen=True)
class GeneratedSource(Source):
    """Prompts that are made, as many as are asked for, and judged by a verifier of their own."""

    options = frozenset({"train_prompts"})

    def make(self, train_prompts: int, held_out_prompts: int, seed: int, *, conversational: bool) -> Task:
        """The task: prompts to train on, and others that are never trained on.

        Args:
            conversational: whether the model has a chat template.

        Raises:
            UserError: there are not so many.
        """
        raise NotImplementedError

    def own_verifier(self) -> Verifier:
        """What judges answers to its prompts, without any being made.

        Raises:
            UserError: it cannot be made here.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class ReadSource(Source):
    """Rows that are read. Of the columns the first that the rows have counts."""

    options = frozenset(
        {
            "prompt_column",
            "answer_column",
            "prompt_template",
            "system_prompt",
            "verifier",
            "skip_bad_rows",
            "eval_dataset",
        }
    )

    location: str  # the path, or the Hugging Face id
    prompt_columns: tuple[str, ...] = ("problem",)
    answer_columns: tuple[str, ...] = ("answer",)
    verifier: str | None = None

    def refined(self, given: Mapping[str, Any], *, held_out: bool) -> Self:
        """With the columns and the verifier that the user names, which win over what is known of a benchmark."""
        return replace(
            self,
            prompt_columns=(given["prompt_column"],) if "prompt_column" in given else self.prompt_columns,
            answer_columns=(given["answer_column"],) if "answer_column" in given else self.answer_columns,
            verifier=given.get("verifier", self.verifier),
        )

    def read(self) -> RawRows:
        """All rows.

        Raises:
            UserError: nothing can be read; single lines that are no JSON objects become defects of the rows.
        """
        try:
            raw = self._read(Path(self.location).expanduser())
        except OSError as error:
            raise UserError(f"{self.location}: cannot be read ({first_line(error.strerror or error)})") from None
        if not raw.rows and not raw.defects:
            raise UserError(f"{self.location}: the dataset is empty; give one with rows")
        return raw

    def _read(self, path: Path) -> RawRows:
        raise NotImplementedError

    def _no_such_file(self) -> UserError:
        return UserError(f"{self.location}: no such file (looked from {Path.cwd()}); check the path")
