"""The grading of programs."""

from typing import Any

from htpo.tasks.gradings.grading import Grading
from htpo.tasks.prompts import Prompt
from htpo.verifiers.code.tests import code_prompt, normalised_tests
from htpo.verifiers.code.verifier import CODE_PROMPT, CodeVerifier

SOLUTION_COLUMNS = ("canonical_solution", "code", "answer", "solution")  # of programs


class CodeGrading(Grading):
    """Programs, judged by running tests in a sandbox."""

    name = "code"
    words = "a program, by running tests"
    title = "the code verifier"
    options = ("sandbox", "float_tolerance")
    template = CODE_PROMPT
    form = "code"

    def __init__(self, sandbox: str | None, float_tolerance: float | None):
        self.verifier = CodeVerifier(sandbox=sandbox, float_tolerance=float_tolerance)
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
