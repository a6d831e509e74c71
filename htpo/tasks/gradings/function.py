"""The grading by a function of the user's own."""

import json
from typing import Any

from htpo.tasks.gradings.grading import Grading
from htpo.tasks.prompts import Prompt
from htpo.tasks.rows import Example, RawRows
from htpo.verifiers.function import FunctionVerifier

TRIED_ROWS = 3
TRIED_RESPONSES = ("I do not know.", "The answer is \\boxed{1}.")  # what a verifier of the user's own is tried on


class FunctionGrading(Grading):
    """Responses, judged by a function of the user's own that sees the whole row."""

    name = "package.module:function"
    words = "the whole response, by a function of your own"
    title = "a verifier of your own"
    options = ("verifier", "max_verifier_failures")
    verifier: FunctionVerifier

    def __init__(self, verifier: str, max_verifier_failures: float):
        self.verifier = FunctionVerifier(verifier, max_verifier_failures)
        self.contract = f"{verifier} judges the whole response"

    def fields(self, row: dict[str, Any], prompt: Prompt, answer_column: str) -> dict[str, str]:
        return {"fields": json.dumps(row, default=str, ensure_ascii=False)}

    def settle(self, raw: RawRows, examples: list[Example], answer_column: str) -> tuple[list[Example], list[str]]:
        """All rows; the function is tried on the first of them, before a model is loaded."""
        rows = [json.loads(example.fields["fields"]) for example in examples[:TRIED_ROWS]]
        self.verifier.try_on([(response, row) for row in rows for response in TRIED_RESPONSES])
        return examples, []

    def same_answer(self, one: Example, other: Example) -> bool:
        return True  # what of a row is its answer, only the function knows
