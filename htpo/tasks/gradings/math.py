"""The grading of mathematics."""

from dataclasses import replace
from typing import Any

from htpo.errors import UserError
from htpo.tasks.gradings.grading import Grading
from htpo.tasks.prompts import Prompt
from htpo.tasks.rows import Example, RawRows, answer_text
from htpo.verifiers.math.formats import ANSWER_FORMATS, answer_of_gold
from htpo.verifiers.math.verifier import NO_FINAL_ANSWER, MathVerifier


class MathGrading(Grading):
    """Final answers, judged by mathematical equality with the gold answer."""

    name = "math"
    words = "the final answer, by what it means"
    title = "the math verifier"
    options = ("answer_format", "answer_pattern")
    needs_answer = True
    verifier: MathVerifier

    def __init__(self, answer_format: str | None, answer_pattern: str | None):
        name = answer_format or "boxed"
        self.verifier = MathVerifier(answer_format=name, answer_pattern=answer_pattern)
        self.format = ANSWER_FORMATS[name]
        self.template = self.format.prompt_template
        self.pattern = answer_pattern
        self.form = name if self.pattern is None else None
        sought = self.format.sought if self.pattern is None else f"the last match of {self.pattern!r}"
        self.contract = f"the math verifier judges {sought}"

    def fields(self, row: dict[str, Any], prompt: Prompt, answer_column: str) -> dict[str, str]:
        return self._with_answer(answer_text(row, answer_column))

    def _with_answer(self, answer: str) -> dict[str, str]:
        known = {} if self.pattern is not None else {"solution": self.format.response.replace("{answer}", answer)}
        return {"answer": answer, **known}

    def settle(self, raw: RawRows, examples: list[Example], answer_column: str) -> tuple[list[Example], list[str]]:
        """Without the rows whose gold answer cannot be read; solutions that state their answer become it, and what else
        is a sentence is noted as a defect."""
        remarks = []
        golds = [example.fields["answer"] for example in examples]
        stated = [answer_of_gold(gold) for gold in golds]
        solutions = sum(one != other for one, other in zip(golds, stated))
        if solutions:
            golds = [gold.strip() if gold != whole else whole for gold, whole in zip(stated, golds)]
            examples = [replace(example, fields=self._with_answer(gold)) for example, gold in zip(examples, golds)]
            remarks.append(
                f"{solutions} gold answers of {raw.label} are solutions: their answer is what follows the last ####, "
                "or the last \\boxed{}"
            )
        for example, gold in zip(examples, golds):
            if not gold.strip("$ \t\r\n"):
                raw.reject(example.row, f"the gold answer (column {answer_column!r}) is empty")
        examples = [example for example in examples if example.row not in raw.defects]
        try:
            reasons = self.verifier.check_golds([example.fields["answer"] for example in examples])
        finally:
            self.verifier.close()  # the next answers are far away, and may be judged by another process
        unusable = {example.row: reason for example, reason in zip(examples, reasons) if reason is not None}
        if 2 * len(unusable) > len(examples):
            number, reason = next(iter(unusable.items()))
            raise UserError(
                f"{raw.label}: {len(unusable)} of the {len(examples)} gold answers in column {answer_column!r} "
                f"cannot be judged ({raw.unit} {number}: {reason}); set --answer_column to one with final answers"
            )
        unreadable = {number: reason for number, reason in unusable.items() if not reason.endswith(NO_FINAL_ANSWER)}
        for number in unusable.keys() - unreadable.keys():
            raw.reject(number, unusable[number])
        if unreadable:
            number, reason = next(iter(unreadable.items()))
            rows = "row" if len(unreadable) == 1 else "rows"
            remarks.append(f"{len(unreadable)} {rows} of {raw.label} left out ({raw.unit} {number}: {reason})")
        return [example for example in examples if example.row not in unusable], remarks

    def same_answer(self, one: Example, other: Example) -> bool:
        if one.fields["answer"] == other.fields["answer"]:
            return True
        response = self.format.response.replace("{answer}", other.fields["answer"])
        return self.pattern is None and self.verifier.judge([response], [one.fields])[0].correct
