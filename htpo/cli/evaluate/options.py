"""The options of `htpo eval`, checked."""

from dataclasses import asdict, dataclass, field, fields, make_dataclass, replace
from typing import Any, get_type_hints

from transformers import HfArgumentParser

from htpo.environments import ENVIRONMENTS, EnvironmentLabel, is_environment
from htpo.errors import UserError
from htpo.evaluate import SamplingOptions
from htpo.evaluate.directory import check_names
from htpo.evaluate.episodes import load_environment_problems
from htpo.evaluate.generators.backend import Backend, BackendOptions, check_least
from htpo.evaluate.generators.registry import BACKENDS
from htpo.evaluate.results import TAUS
from htpo.option_parsing import parse, refuse
from htpo.playing.formats import PROMPT_FORMATS, format_name
from htpo.playing.options import PlayOptions
from htpo.playing.tasks import environment_options
from htpo.tasks.load import load_problems
from htpo.tasks.options import DataOptions
from htpo.tasks.selection import given_options
from htpo.tasks.task import Problems

PUZZLES = 128  # made of a family without --problems
OF_TRAINING = {"dataset", "dataset_weights", "dataset_split", "eval_dataset", "train_prompts", "held_out_prompts"}

OF_ENVIRONMENTS = {"dataset", "dataset_config", "held_out_prompts"}
"""Options of the data that have an effect on an environment, or are set here."""


@dataclass
class EvalOptions:
    """What is measured, and by what."""

    model: str = field(metadata={"help": "Hugging Face id or folder; with --base_url the model's name on the server."})
    tasks: list[str] = field(
        metadata={
            "help": "Sources as `htpo train --dataset` takes them, by commas or spaces; all problems are asked. Of an "
            "environment the last split, unless one is named."
        }
    )
    samples: int = field(default=32, metadata={"help": "Responses to every problem: n of avg@n, pass@n and maj@n."})
    temperature: float = field(default=1.0, metadata={"help": "Sampling temperature; 0 is greedy."})
    top_p: float = field(default=0.7, metadata={"help": "Nucleus; 1 cuts nothing off."})
    max_tokens: int = field(
        default=20480,
        metadata={"help": "Longest response; what is cut there counts as wrong. Of episodes: what is shown of them."},
    )
    seed: int = field(default=0, metadata={"help": "Of the sampling, and of generated puzzles."})
    g_pass_tau: list[float] = field(
        default_factory=lambda: list(TAUS),
        metadata={"help": "Shares of k answers that G-Pass@k wants right, each in (0, 1], by spaces."},
    )
    problems: int | None = field(
        default=None,
        metadata={
            "help": "At most so many problems of each task, the first ones; of an environment so many that the seed "
            "draws. Puzzles: 128."
        },
    )
    chat: bool | None = field(
        default=None,
        metadata={"help": "Put problems as chat messages. Default: yes on a server, else if there is a template."},
    )
    backend: str | None = field(
        default=None,
        metadata={
            "help": ", ".join(
                f"{name} (default with --{kind.implied_by})" if kind.implied_by else name
                for name, kind in BACKENDS.items()
            )
            + f". Default: {next(iter(BACKENDS))}."
        },
    )

    def __post_init__(self) -> None:
        self.tasks = [name for each in self.tasks for name in each.split(",") if name]
        if self.backend is not None and self.backend not in BACKENDS:
            raise UserError(f"backend {self.backend!r} is unknown: choose one of {', '.join(BACKENDS)}")
        check_least(self, {"samples": 1, "problems": 1})
        for tau in self.g_pass_tau:
            if not 0 < tau <= 1:
                raise UserError(f"g_pass_tau {tau} must be above 0 (one right answer is enough) and at most 1 (all)")
        _ = self.sampling  # checks its own values

    @property
    def sampling(self) -> SamplingOptions:
        """How responses are drawn."""
        return SamplingOptions(self.temperature, self.top_p, self.max_tokens, self.seed)


JudgingOptions = make_dataclass(
    "JudgingOptions",
    [
        (each.name, get_type_hints(DataOptions)[each.name], field(default=each.default, metadata=each.metadata))
        for each in fields(DataOptions)
        if each.name not in OF_TRAINING
    ],
)
"""The options of the data that do not speak of training."""
JUDGING = {each.name for each in fields(JudgingOptions)} - {"prompt_template"} | {"g_pass_tau"}
"""What may change when stored responses are judged again."""

BACKEND_OPTIONS = tuple(dict.fromkeys(kind for backend in BACKENDS.values() for kind in backend.options))
"""The dataclasses of all backends' options."""
MAY_CHANGE = frozenset[str]().union(*(kind.MAY_CHANGE for kind in BACKEND_OPTIONS))
"""May change when an evaluation goes on; everything else decides what is measured."""


@dataclass(frozen=True)
class Evaluation:
    """The options of `htpo eval`, checked.

    Raises:
        UserError: an option belongs to a backend that is not used, or has no effect on the tasks.
    """

    options: EvalOptions
    of_backends: dict[type[BackendOptions], BackendOptions]
    play: PlayOptions
    data: DataOptions

    def __post_init__(self) -> None:
        self._check_environments()
        for kind, values in self.of_backends.items():
            owners = [name for name, backend in BACKENDS.items() if kind in backend.options]
            for each in fields(kind) if self.backend_name not in owners else ():
                if getattr(values, each.name) != each.default:
                    raise UserError(
                        f"--{each.name} has no effect on backend {self.backend_name}: it belongs to {', '.join(owners)}"
                    )

    @property
    def backend_name(self) -> str:
        """The backend that is named, or that an option implies, or the first."""
        given = self._of_all_backends
        implied = [name for name, backend in BACKENDS.items() if backend.implied_by and given[backend.implied_by]]
        return self.options.backend or next(iter([*implied, *BACKENDS]))

    @property
    def config(self) -> dict[str, Any]:
        """All options, defaults included."""
        judging = {each.name: getattr(self.data, each.name) for each in fields(JudgingOptions)}
        playing = asdict(self.play)
        return asdict(self.options) | {"backend": self.backend_name} | self._of_all_backends | playing | judging

    @property
    def may_change(self) -> dict[str, Any]:
        """Those that say only how fast, and by what."""
        return {name: value for name, value in sorted(self.config.items()) if name in MAY_CHANGE}

    @property
    def _of_all_backends(self) -> dict[str, Any]:
        return {name: value for given in self.of_backends.values() for name, value in asdict(given).items()}

    def backend(self) -> Backend:
        """What generates, not started yet."""
        kind, options = BACKENDS[self.backend_name], self.options
        return kind(options.model, options.sampling, options.chat, *(self.of_backends[each] for each in kind.options))

    @property
    def environments(self) -> list[str]:
        """Those of the tasks that are environments."""
        return [label for label in self.options.tasks if is_environment(label)]

    def tasks(self, *, conversational: bool, bare: bool = False) -> list[Problems]:
        """The problems of every task.

        Args:
            conversational: whether they are put as chat messages.
            bare: without a template around them, to judge answers that were given before.
        """
        options, most = self.options, self.options.problems
        loaded: list[Problems] = []
        if self.data.dataset:
            loaded = load_problems(self.data, conversational=conversational, seed=options.seed, bare=bare)
        answered = iter([task if most is None or most >= len(task.rows) else _first(task, most) for task in loaded])
        tasks: list[Problems] = []
        for label in options.tasks:
            if is_environment(label):
                told = format_name(self.play.prompt_format, has_chat_template=conversational)
                own = environment_options(self.data.dataset_config)
                tasks.append(load_environment_problems(label, self.play, told, own, most, options.seed))
            else:
                tasks.append(next(answered))
        check_names(tasks)
        return tasks

    def _check_environments(self) -> None:
        """Refuse options that have no effect on environments, or none without them."""
        names = list(dict.fromkeys(EnvironmentLabel.parse(label).name for label in self.environments))
        if not names:
            for each in fields(PlayOptions):
                if getattr(self.play, each.name) != each.default:
                    raise UserError(
                        f"--{each.name} has no effect: it belongs to tasks that are environments "
                        f"({', '.join(ENVIRONMENTS)}, or your own as package.module:Class)"
                    )
            return
        check_least(self.play, {"max_turn_length": 1, "max_turns": 1, "history_length": 1})
        if self.play.max_turn_length > self.options.max_tokens:
            raise UserError(
                f"max_turn_length ({self.play.max_turn_length}) is above max_tokens ({self.options.max_tokens}), which "
                "is that of the turns that are shown and the next: lower the first or raise the second"
            )
        named = PROMPT_FORMATS.get(self.play.prompt_format or "")
        chat, alone = self.options.chat, not self.data.dataset
        if named is not None and named.chat is not chat and (chat is False or (chat and alone)):
            kind = "chat messages" if named.chat else "text"
            raise UserError(
                f"--chat {str(chat).lower()} and --prompt_format {self.play.prompt_format}, which is {kind}: leave one "
                "out"
            )
        if self.data.dataset_config is not None and (self.data.dataset or len(names) > 1):
            raise UserError(
                "--dataset_config holds the options of one environment, and there are several tasks: evaluate "
                f"{names[0]} alone"
            )
        for name in given_options(self.data).keys() - OF_ENVIRONMENTS if not self.data.dataset else ():
            raise UserError(f"--{name} has no effect on {', '.join(names)}: it belongs to tasks that are answered once")


def _first(task: Problems, count: int) -> Problems:
    description = f"{task.description}; of them the first {count}"
    return replace(task, rows=task.rows.select(range(count)), description=description)


def list_options() -> None:
    """Print every option with its default."""
    print(options_parser().format_help())


def options_parser() -> Any:
    """The parser of all options."""
    parser = HfArgumentParser(
        (EvalOptions, *BACKEND_OPTIONS, PlayOptions, JudgingOptions), prog="htpo eval", allow_abbrev=False
    )
    parser.error = refuse
    return parser


def parse_evaluation(values: dict[str, Any]) -> Evaluation:
    """Options from what stood in flags and a stored config.

    Raises:
        UserError: one is unknown, missing, or of no use.
    """
    if "model" not in values:
        raise UserError("no model: htpo eval MODEL --tasks ..., a Hugging Face id, a folder, or a name on a server")
    if "tasks" not in values:
        raise UserError("no tasks: give --tasks, as in --tasks aime24,aime25 (`htpo data list` shows all names)")
    options, *of_backends, play, judging = parse(options_parser(), values, "htpo eval --options")
    answered = [label for label in options.tasks if not is_environment(label)]
    data = DataOptions(dataset=answered, held_out_prompts=options.problems or PUZZLES, **asdict(judging))
    return Evaluation(options, dict(zip(BACKEND_OPTIONS, of_backends, strict=True)), play, data)
