"""What a `--dataset` names: puzzles, a reasoning_gym generator, a benchmark, a file, or a Hugging Face dataset."""

from dataclasses import dataclass, fields, replace
from pathlib import Path

from htpo.errors import UserError
from htpo.tasks.benchmarks import BENCHMARKS
from htpo.tasks.options import DataOptions
from htpo.tasks.puzzles import PUZZLE_FAMILIES
from htpo.tasks.rows import READERS

GYM_PREFIX = "reasoning_gym:"
GENERATED_KINDS = ("puzzle", "reasoning_gym")
VERL_LAYOUT = ("prompt", "reward_model.ground_truth")

GENERATED = {"train_prompts"}
READ = {
    "prompt_column",
    "answer_column",
    "prompt_template",
    "system_prompt",
    "verifier",
    "skip_bad_rows",
    "eval_dataset",
}
TAKEN = {
    "puzzle": GENERATED,
    "reasoning_gym": GENERATED | {"dataset_config", "system_prompt"},
    "file": READ,
    "hub": READ | {"dataset_split", "dataset_config"},
}
"""By kind of source: the options that have an effect on it. The verifier's own come on top."""
TAKEN_BY_VERIFIER = {
    "math": {"answer_format", "answer_pattern"},
    "code": {"sandbox", "float_tolerance"},
    None: {"max_verifier_failures"},
}
BELONGS = {
    "system_prompt": "built-in puzzles are text, for a policy without chat template",
    "train_prompts": "it counts generated puzzles, other data is used whole",
    "dataset_split": "it belongs to Hugging Face datasets",
    "dataset_config": "it belongs to Hugging Face datasets and reasoning_gym",
    "eval_split": "it needs an --eval_dataset from the Hugging Face Hub",
    "answer_format": "it belongs to the math verifier",
    "answer_pattern": "it belongs to the math verifier",
    "sandbox": "it belongs to the code verifier",
    "float_tolerance": "it belongs to the code verifier",
    "max_verifier_failures": "it belongs to a verifier of your own",
}


@dataclass(frozen=True)
class Source:
    """One source of prompts, found but not read."""

    label: str  # as the user gave it
    kind: str  # "puzzle", "reasoning_gym", "file" or "hub"
    location: str  # the family or generator, the path, or the Hugging Face id
    split: str | None = None  # of a Hugging Face dataset
    config: str | None = None
    data_files: tuple[str, ...] = ()
    prompt_columns: tuple[str, ...] = ("problem",)  # the first that the data has is read
    answer_columns: tuple[str, ...] = ("answer",)
    verifier: str | None = None

    @property
    def name(self) -> str:
        """Short, for tables and folders."""
        if self.kind == "file" and "=" not in self.label:
            return Path(self.location).stem
        return self.label.partition("=")[0] if self.label.partition("=")[0] in BENCHMARKS else self.label


def find_source(label: str, options: DataOptions, *, held_out: bool = False) -> Source:
    """What `label` names, with the options that say more about it.

    Args:
        label: as given to `--dataset` or `--eval_dataset`.
        held_out: whether it is the latter, to which `eval_split` belongs instead of `dataset_split`.

    Raises:
        UserError: it cannot be told what is meant.
    """
    if label in PUZZLE_FAMILIES:
        return Source(label, "puzzle", label)
    if label.startswith(GYM_PREFIX):
        return Source(label, "reasoning_gym", label.removeprefix(GYM_PREFIX), config=options.dataset_config)
    name, equals, path = label.partition("=")
    if equals and name not in BENCHMARKS:
        raise UserError(f"{label}: {name!r} is no benchmark, there are {', '.join(BENCHMARKS)}")
    if name in BENCHMARKS:
        found = _benchmark(label, name, path)
    elif is_file(label):
        found = Source(label, "file", label)
    else:
        found = Source(label, "hub", label)
    return _with_options(found, options, held_out)


def is_file(location: str) -> bool:
    """Whether it ends as a file that can be read."""
    return Path(location).suffix.lower() in READERS


def _benchmark(label: str, name: str, path: str) -> Source:
    known = BENCHMARKS[name]
    if path and not is_file(path):
        raise UserError(f"{label}: {path!r} is no {', '.join(READERS)} file")
    return Source(
        label,
        "file" if path else "hub",
        path or known.hub_id,
        split=known.split,
        config=known.config,
        data_files=() if path else known.data_files,
        prompt_columns=known.prompt_columns,
        answer_columns=known.answer_columns,
        verifier=known.verifier,
    )


def _with_options(source: Source, options: DataOptions, held_out: bool) -> Source:
    """The options given by the user win over what is known of a benchmark."""
    default = DataOptions()
    split = options.eval_split if held_out else options.dataset_split
    changes: dict[str, object] = {"split": split or source.split or ("test" if held_out else "train")}
    if options.dataset_config is not None and (not held_out or source.label in options.dataset):
        changes["config"] = options.dataset_config
    for option, name in (("prompt_column", "prompt_columns"), ("answer_column", "answer_columns")):
        if getattr(options, option) != getattr(default, option):
            changes[name] = (getattr(options, option),)
    changes["verifier"] = options.verifier or source.verifier
    return replace(source, **changes)


def check_options(sources: list[Source], options: DataOptions, held_out: Source | None) -> None:
    """Refuse options that would have no effect on any of the sources, and values that cannot be used.

    Raises:
        UserError: naming the first of them.
    """
    if options.held_out_prompts < 0:
        raise UserError(f"held_out_prompts={options.held_out_prompts} must not be negative; 0 holds nothing out")
    if options.prompt_template is not None and "{prompt}" not in options.prompt_template:
        raise UserError(f"prompt_template {options.prompt_template!r} must say where the problem goes, with {{prompt}}")
    taken = {"dataset", "held_out_prompts"}
    for source in sources:
        taken |= TAKEN[source.kind]
        if source.verifier is not None:
            taken |= TAKEN_BY_VERIFIER.get(source.verifier, TAKEN_BY_VERIFIER[None])
    if len(sources) > 1:
        taken.add("dataset_weights")
    if held_out is not None and held_out.kind == "hub":
        taken.add("eval_split")
    default = DataOptions()
    for field in fields(DataOptions):
        if field.name not in taken and getattr(options, field.name) != getattr(default, field.name):
            why = BELONGS.get(field.name, "nothing there would use it")
            raise UserError(f"--{field.name} has no effect on {', '.join(s.label for s in sources)}: {why}")
