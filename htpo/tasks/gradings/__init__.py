"""What `--verifier` takes: for each verifier how a dataset's rows are prepared for it, and which options are its own.

To add one, write a module with a subclass of `Grading`, and add the class to `GRADINGS`.
"""

from htpo.tasks.gradings.code import CodeGrading
from htpo.tasks.gradings.function import FunctionGrading
from htpo.tasks.gradings.grading import Grading
from htpo.tasks.gradings.math import MathGrading

GRADINGS: dict[str, type[Grading]] = {
    grading.name: grading
    for grading in (
        MathGrading,
        CodeGrading,
        FunctionGrading,
    )
}


def find_grading(verifier: str | None) -> type[Grading] | None:
    """The grading by the name of its verifier, of which every one with a colon is a function's; None without one."""
    return None if verifier is None else GRADINGS.get(FunctionGrading.name if ":" in verifier else verifier)
