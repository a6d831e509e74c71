"""What the options name: sources and gradings, and which options would have no effect on them."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from htpo.errors import UserError
from htpo.tasks.gradings import GRADINGS, find_grading
from htpo.tasks.gradings.grading import Grading
from htpo.tasks.options import DataOptions, enumerated
from htpo.tasks.sources import SOURCES
from htpo.tasks.sources.hub import Hub
from htpo.tasks.sources.source import GeneratedSource, ReadSource, Source

OF_ANY_SOURCE = {"dataset", "held_out_prompts"}
REASONS = {
    "system_prompt": "built-in puzzles are text, for a policy without chat template",
    "train_prompts": "it counts generated puzzles, other data is used whole",
    "eval_split": "it needs an --eval_dataset from the Hugging Face Hub",
    "dataset_weights": "it weighs several sources",
}
"""Why an option has no effect, where it says more than to whom it belongs."""


def given_options(options: DataOptions) -> dict[str, Any]:
    """The options that are not at their default."""
    default = DataOptions()
    given = {field.name: getattr(options, field.name) for field in fields(DataOptions)}
    return {name: value for name, value in given.items() if value != getattr(default, name)}


def find_source(label: str, options: DataOptions, *, held_out: bool = False) -> GeneratedSource | ReadSource:
    """What `label` names, with the options that say more about it.

    Args:
        label: as given to `--dataset` or `--eval_dataset`.
        held_out: whether it is the latter, to which `eval_split` belongs instead of `dataset_split`, and
            `dataset_config` only where it is the same dataset.

    Raises:
        UserError: it cannot be told what is meant.
    """
    given = given_options(options)
    if held_out and label not in options.dataset:
        given.pop("dataset_config", None)
    source = next(found for kind in SOURCES if (found := kind.find(label)) is not None)
    return source.refined(given, held_out=held_out)


def make_grading(source: ReadSource, options: DataOptions) -> Grading:
    """The grading of a source's verifier, with the options that are its own.

    Raises:
        UserError: there is none of this name, or an option of it cannot be used.
    """
    name, kind = source.verifier, find_grading(source.verifier)
    if kind is None:
        wrong = "needs a verifier" if name is None else f"cannot be judged by an unknown verifier {name!r}"
        raise UserError(f"{source.label} {wrong}: set --verifier {enumerated(GRADINGS)}")
    values = vars(options) | {"verifier": name}
    return kind(**{name: values[name] for name in kind.options})


def check_options(sources: Sequence[Source], options: DataOptions, held_out: Source | None) -> None:
    """Refuse options that would have no effect on any of the sources, and values that cannot be used.

    Raises:
        UserError: naming the first of them.
    """
    if options.held_out_prompts < 0:
        raise UserError(f"held_out_prompts={options.held_out_prompts} must not be negative; 0 holds nothing out")
    if options.prompt_template is not None and "{prompt}" not in options.prompt_template:
        raise UserError(f"prompt_template {options.prompt_template!r} must say where the problem goes, with {{prompt}}")
    taken = OF_ANY_SOURCE.union(*(source.options for source in sources))
    for source in sources:
        grading = find_grading(source.verifier) if isinstance(source, ReadSource) else None
        taken |= set(grading.options if grading else ())
    if len(sources) > 1:
        taken.add("dataset_weights")
    if isinstance(held_out, Hub):
        taken.add("eval_split")
    for name in given_options(options):
        if name not in taken:
            labels = ", ".join(source.label for source in sources)
            raise UserError(f"--{name} has no effect on {labels}: {REASONS.get(name) or _owners(name)}")


def _owners(option: str) -> str:
    """To which kinds of sources an option belongs, or else to which verifiers."""
    sources = [kind.title for kind in reversed(SOURCES) if option in kind.options]
    verifiers = [kind.title for kind in GRADINGS.values() if option in kind.options]
    return f"it belongs to {enumerated(sources or verifiers, 'and')}"
