"""How the rows of a dataset meet a verifier: what it reads of a row, what it asks of a response, what it refuses."""

import json
from dataclasses import replace
from typing import Any

from htpo.errors import UserError
from htpo.tasks.options import DataOptions
from htpo.tasks.prompts import Prompt
from htpo.tasks.rows import Example, Table, answer_text
from htpo.verifiers.code.tests import code_prompt, normalised_tests
from htpo.verifiers.code.verifier import CODE_PROMPT, CodeVerifier
from htpo.verifiers.function import FunctionVerifier
from htpo.verifiers.math.formats import ANSWER_FORMATS, answer_of_gold
from htpo.verifiers.math.verifier import NO_FINAL_ANSWER, MathVerifier
from htpo.verifiers.verdict import Verifier

TRIED_ROWS = 3
TRIED_RESPONSES = ("I do not know.", "The answer is \\boxed{1}.")  # what a verifier of the user's own is tried on
SOLUTION_COLUMNS = ("canonical_solution", "code", "answer", "solution")  # of programs


class Grading:
    """A verifier, and how a dataset's rows are prepared for it.

    Attributes:
        verifier: judges responses to the rows.
        template: text around a prompt, with `{prompt}` in it, that asks for what the verifier reads.
        contract: what is judged, in plain words.
        needs_answer: whether rows must have a gold answer in a column of its own.
        form: of the answers that are read, for `prompt_checks`; None where it is not known.
    """

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

    def settle(self, table: Table, examples: list[Example], answer_column: str) -> tuple[list[Example], list[str]]:
        """The rows that can be judged, and remarks. Rows that must not be there become problems of the table."""
        return examples, []

    def same_answer(self, one: Example, other: Example) -> bool:
        """Whether two rows with the same prompt ask for the same answer."""
        return one.fields == other.fields


class MathGrading(Grading):
    """Final answers, judged by mathematical equality with the gold answer."""

    needs_answer = True

    def __init__(self, options: DataOptions):
        name = options.answer_format or "boxed"
        self.verifier = MathVerifier(answer_format=name, answer_pattern=options.answer_pattern)
        self.format = ANSWER_FORMATS[name]
        self.template = self.format.prompt_template
        self.pattern = options.answer_pattern
        self.form = name if self.pattern is None else None
        sought = self.format.sought if self.pattern is None else f"the last match of {self.pattern!r}"
        self.contract = f"the math verifier judges {sought}"

    def fields(self, row: dict[str, Any], prompt: Prompt, answer_column: str) -> dict[str, str]:
        return self._with_answer(answer_text(row, answer_column))

    def _with_answer(self, answer: str) -> dict[str, str]:
        known = {} if self.pattern is not None else {"solution": self.format.response.replace("{answer}", answer)}
        return {"answer": answer, **known}

    def settle(self, table: Table, examples: list[Example], answer_column: str) -> tuple[list[Example], list[str]]:
        """Without the rows whose gold answer cannot be read; solutions that state their answer become it, and what else
        is a sentence becomes a problem of the table."""
        remarks = []
        golds = [example.fields["answer"] for example in examples]
        stated = [answer_of_gold(gold) for gold in golds]
        solutions = sum(one != other for one, other in zip(golds, stated))
        if solutions:
            golds = [gold.strip() if gold != whole else whole for gold, whole in zip(stated, golds)]
            examples = [replace(example, fields=self._with_answer(gold)) for example, gold in zip(examples, golds)]
            remarks.append(
                f"{solutions} gold answers of {table.label} are solutions: their answer is what follows the last ####, "
                "or the last \\boxed{}"
            )
        for example, gold in zip(examples, golds):
            if not gold.strip("$ \t\r\n"):
                table.reject(example.row, f"the gold answer (column {answer_column!r}) is empty")
        examples = [example for example in examples if example.row not in table.problems]
        try:
            reasons = self.verifier.check_golds([example.fields["answer"] for example in examples])
        finally:
            self.verifier.close()  # the next answers are far away, and may be judged by another process
        unusable = {example.row: reason for example, reason in zip(examples, reasons) if reason is not None}
        if 2 * len(unusable) > len(examples):
            number, reason = next(iter(unusable.items()))
            raise UserError(
                f"{table.label}: {len(unusable)} of the {len(examples)} gold answers in column {answer_column!r} "
                f"cannot be judged ({table.unit} {number}: {reason}); set --answer_column to one with final answers"
            )
        unreadable = {number: reason for number, reason in unusable.items() if not reason.endswith(NO_FINAL_ANSWER)}
        for number in unusable.keys() - unreadable.keys():
            table.reject(number, unusable[number])
        if unreadable:
            number, reason = next(iter(unreadable.items()))
            rows = "row" if len(unreadable) == 1 else "rows"
            remarks.append(f"{len(unreadable)} {rows} of {table.label} left out ({table.unit} {number}: {reason})")
        return [example for example in examples if example.row not in unusable], remarks

    def same_answer(self, one: Example, other: Example) -> bool:
        if one.fields["answer"] == other.fields["answer"]:
            return True
        response = self.format.response.replace("{answer}", other.fields["answer"])
        return self.pattern is None and self.verifier.judge([response], [one.fields])[0].correct


class CodeGrading(Grading):
    """Programs, judged by running tests in a sandbox."""

    template = CODE_PROMPT
    form = "code"

    def __init__(self, options: DataOptions):
        self.verifier = CodeVerifier(sandbox=options.sandbox, float_tolerance=options.float_tolerance)
        self.contract = f"the last fenced code block is run against the tests; {self.verifier.description}"

    def put(self, row: dict[str, Any], prompt: str) -> str:
        return code_prompt(row, prompt)

    def fields(self, row: dict[str, Any], prompt: Prompt, answer_column: str) -> dict[str, str]:
        known = [row[name] for name in SOLUTION_COLUMNS if isinstance(row.get(name), str) and row[name].strip()]
        tests = {"tests": normalised_tests(row)}
        if not known:
            return tests
        # HumanEval's solutions are the body of the function that the prompt begins.
        code = f"{prompt}{known[0]}" if known[0][:1].isspace() and isinstance(prompt, str) else known[0]
        return {**tests, "solution": f"```python\n{code}\n```"}


class FunctionGrading(Grading):
    """Responses, judged by a function of the user's own that sees the whole row."""

    def __init__(self, path: str, options: DataOptions):
        self.verifier = FunctionVerifier(path, options.max_verifier_failures)
        self.contract = f"{path} judges the whole response"

    def fields(self, row: dict[str, Any], prompt: Prompt, answer_column: str) -> dict[str, str]:
        return {"fields": json.dumps(row, default=str, ensure_ascii=False)}

    def settle(self, table: Table, examples: list[Example], answer_column: str) -> tuple[list[Example], list[str]]:
        """All rows; the function is tried on the first of them, before a model is loaded."""
        rows = [json.loads(example.fields["fields"]) for example in examples[:TRIED_ROWS]]
        self.verifier.try_on([(response, row) for row in rows for response in TRIED_RESPONSES])
        return examples, []

    def same_answer(self, one: Example, other: Example) -> bool:
        return True  # what of a row is its answer, only the function knows


def make_grading(verifier: str | None, options: DataOptions, source: str) -> Grading:
    """The grading by the name of its verifier.

    Raises:
        UserError: there is none of this name, or an option of it cannot be used.
    """
    if verifier == "math":
        return MathGrading(options)
    if verifier == "code":
        return CodeGrading(options)
    if verifier is not None and ":" in verifier:
        return FunctionGrading(verifier, options)
    wrong = "needs a verifier" if verifier is None else f"cannot be judged by an unknown verifier {verifier!r}"
    raise UserError(f"{source} {wrong}: set --verifier math, code, or package.module:function")
