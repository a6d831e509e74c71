"""`DataOptions`: where prompts come from and how responses are judged. Every field is an option of `htpo train`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from htpo.tasks.gradings import GRADINGS
from htpo.tasks.sources import SOURCES
from htpo.verifiers.code.sandbox.cells import LEVELS
from htpo.verifiers.math.formats import ANSWER_FORMATS


def enumerated(words: Iterable[str], conjunction: str = "or") -> str:
    """`a`, `a or b`, `a, b, or c`."""
    *first, last = words
    return f"{', '.join(first)}{',' * (len(first) > 1)} {conjunction} {last}" if first else last


@dataclass
class DataOptions:
    """Options of `load_task`, with the defaults of `htpo train` and `htpo data`."""

    dataset: list[str] = field(
        default_factory=lambda: ["number_path"],
        metadata={"help": f"One source or several: {enumerated(kind.words for kind in SOURCES)}."},
    )
    dataset_weights: list[float] | None = field(
        default=None,
        metadata={"help": "With several sources, how often each is drawn. Default: by its number of prompts."},
    )
    dataset_config: str | None = field(
        default=None,
        metadata={"help": "Configuration of a Hugging Face dataset, or settings of a reasoning_gym generator as JSON."},
    )
    dataset_split: str | None = field(
        default=None,
        metadata={"help": "Split of a Hugging Face dataset to train on. Default: train, or a benchmark's own."},
    )
    prompt_column: str = field(default="problem", metadata={"help": "Column of the dataset that holds the prompt."})
    answer_column: str = field(default="answer", metadata={"help": "Column that holds the answer to verify against."})
    prompt_template: str | None = field(
        default=None,
        metadata={"help": "Text around the prompt, with {prompt} in it. Default: asks for what the verifier reads."},
    )
    system_prompt: str | None = field(
        default=None,
        metadata={"help": "A system message before every prompt; for models with a chat template that takes one."},
    )
    verifier: str | None = field(
        default=None,
        metadata={
            "help": f"What judges: {enumerated(f'{name} ({kind.words})' for name, kind in GRADINGS.items())}. "
            "Puzzles, reasoning_gym and benchmarks bring their own."
        },
    )
    answer_format: str | None = field(
        default=None,
        metadata={
            "help": "Where the math verifier looks: "
            f"{enumerated(f'{name} ({form.sought})' for name, form in ANSWER_FORMATS.items())}. Default: boxed."
        },
    )
    answer_pattern: str | None = field(
        default=None,
        metadata={"help": "Instead of a format, a regular expression with one group that finds the final answer."},
    )
    sandbox: str | None = field(
        default=None,
        metadata={
            "help": f"Isolation of the code verifier: {enumerated(LEVELS)}. Default: the strongest that works here."
        },
    )
    float_tolerance: float | None = field(
        default=None,
        metadata={
            "help": "Of the code verifier: numbers with a decimal point may differ by this, times the expected one "
            "where that is larger than 1. Default: nothing for what a program prints, 1e-5 for what a function returns."
        },
    )
    max_verifier_failures: float = field(
        default=0.5,
        metadata={"help": "Share of responses on which a verifier of your own may raise before the run stops."},
    )
    skip_bad_rows: bool = field(
        default=False, metadata={"help": "Leave out rows that cannot be used, and say so, instead of refusing."}
    )
    eval_dataset: str | None = field(
        default=None, metadata={"help": "Held-out problems (a source). Default: a share of the dataset is held out."}
    )
    eval_split: str | None = field(
        default=None, metadata={"help": "Split of a Hugging Face eval_dataset. Default: test, or a benchmark's own."}
    )
    train_prompts: int = field(default=4096, metadata={"help": "Prompts to generate for puzzles and reasoning_gym."})
    held_out_prompts: int = field(
        default=128, metadata={"help": "Held-out problems measured before and after training; 0 measures nothing."}
    )

    def __post_init__(self) -> None:
        if isinstance(self.dataset, str):
            self.dataset = [self.dataset]
