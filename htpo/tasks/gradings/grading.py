"""How the rows of a dataset meet a verifier: what it reads of a row, what it asks of a response, what it refuses.

A `--verifier` is a subclass of `Grading`; `htpo.tasks.gradings` lists them.
"""

from typing import Any, ClassVar

from htpo.tasks.prompts import Prompt
from htpo.tasks.rows import Example, RawRows
from htpo.verifiers.verdict import Verifier


class Grading:
    """A verifier, and how a dataset's rows are prepared for it.

    Attributes:
        name: as `--verifier` takes it.
        words: what is judged and how, for the help of `--verifier`.
        title: what the verifier is called, for messages.
        options: its own among `DataOptions`; the constructor takes them by name.
        verifier: judges responses to the rows.
        template: text around a prompt, with `{prompt}` in it, that asks for what the verifier reads.
        contract: what is judged with these options, in plain words.
        needs_answer: whether rows must have a gold answer in a column of its own.
        form: of the answers that are read, for `prompt_checks`; None where it is not known.
    """

    name: ClassVar[str]
    words: ClassVar[str]
    title: ClassVar[str]
    options: ClassVar[tuple[str, ...]] = ()

    verifier: Verifier
    template = "{prompt}"
    contract = ""
    needs_answer = False
    form: str | None = None

    def put(self, row: dict[str, Any], prompt: str) -> str:
        """The problem as it is put to the model, before the template."""
        return prompt

    def fields(self, row: dict[str, Any], prompt: Prompt, answer_column: str) -> dict[str, str]:
        """What the verifier reads, by column, and in `solution` a right response where one is known.

        Raises:
            ValueError: the row cannot be used; the message says why.
        """
        raise NotImplementedError

    def settle(self, raw: RawRows, examples: list[Example], answer_column: str) -> tuple[list[Example], list[str]]:
        """The rows that can be judged, and remarks. Of rows that must not be there it notes the defect."""
        return examples, []

    def same_answer(self, one: Example, other: Example) -> bool:
        """Whether two rows with the same prompt ask for the same answer."""
        return one.fields == other.fields
