"""The options of `htpo eval`, checked."""

import math
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from typing import Any, get_type_hints

from htpo.cli.options import parse, refuse
from htpo.errors import UserError
from htpo.evaluate import SamplingOptions
from htpo.evaluate.results import TAUS
from htpo.tasks.options import DataOptions

PUZZLES = 128  # made of a family without --problems
OF_TRAINING = {"dataset", "dataset_weights", "dataset_split", "eval_dataset", "train_prompts", "held_out_prompts"}
LOCAL = {"batch_size", "model_revision", "dtype", "trust_remote_code", "chat_template_kwargs"}
OF_ENGINE = {"tensor_parallel_size", "max_model_len", "gpu_memory_utilization", "vllm_options"}
OF_BACKEND = {
    "transformers": LOCAL,
    "vllm": LOCAL | OF_ENGINE,
    "server": {"base_url", "concurrency", "retries", "request_timeout", "api_key_env", "extra_body"},
}
WHERE_AND_HOW_FAST = {"batch_size", "base_url", "concurrency", "retries", "request_timeout", "api_key_env"}
WHERE_AND_HOW_FAST |= {"tensor_parallel_size", "gpu_memory_utilization"}
"""May change when an evaluation goes on; everything else decides what is measured."""


@dataclass
class EvalOptions:
    """What is measured, and by what."""

    model: str = field(metadata={"help": "Hugging Face id or folder; with --base_url the model's name on the server."})
    tasks: list[str] = field(
        metadata={"help": "Sources as `htpo train --dataset` takes them, by commas or spaces; all problems are asked."}
    )
    samples: int = field(default=32, metadata={"help": "Responses to every problem: n of avg@n, pass@n and maj@n."})
    temperature: float = field(default=1.0, metadata={"help": "Sampling temperature; 0 is greedy."})
    top_p: float = field(default=0.7, metadata={"help": "Nucleus; 1 cuts nothing off."})
    max_tokens: int = field(default=20480, metadata={"help": "Longest response; what is cut there counts as wrong."})
    seed: int = field(default=0, metadata={"help": "Of the sampling, and of generated puzzles."})
    g_pass_tau: list[float] = field(
        default_factory=lambda: list(TAUS),
        metadata={"help": "Shares of k answers that G-Pass@k wants right, each in (0, 1], by spaces."},
    )
    problems: int | None = field(
        default=None, metadata={"help": "At most so many problems of each task, the first ones. Puzzles: 128."}
    )
    chat: bool | None = field(
        default=None,
        metadata={"help": "Put problems as chat messages. Default: yes on a server, else if there is a template."},
    )
    backend: str | None = field(
        default=None, metadata={"help": "transformers (default), vllm, or server (default with --base_url)."}
    )
    batch_size: int | None = field(
        default=None, metadata={"help": "Responses generated at once. Default: 64; vllm: 1024, then they are stored."}
    )
    model_revision: str | None = field(default=None, metadata={"help": "Branch, tag or commit of a Hugging Face id."})
    dtype: str = field(default="auto", metadata={"help": "Of the weights: auto (as stored), bfloat16, float32, ..."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code from the model's repository."})
    chat_template_kwargs: str | None = field(
        default=None,
        metadata={"help": "JSON object with options of the chat template, as in '{\"enable_thinking\": false}'."},
    )
    tensor_parallel_size: int | None = field(default=None, metadata={"help": "vllm: GPUs that share the model."})
    max_model_len: int | None = field(
        default=None, metadata={"help": "vllm: longest prompt with its response. Default: what the model was made for."}
    )
    gpu_memory_utilization: float | None = field(
        default=None, metadata={"help": "vllm: share of the memory it may take, of each GPU (on CPUs of the machine)."}
    )
    vllm_options: str | None = field(
        default=None,
        metadata={"help": "JSON object with further options of vLLM's engine, as in '{\"enforce_eager\": true}'."},
    )
    base_url: str | None = field(
        default=None, metadata={"help": "Server with OpenAI's interface, as in http://localhost:8000/v1."}
    )
    concurrency: int = field(default=16, metadata={"help": "Requests to the server at a time."})
    retries: int = field(default=8, metadata={"help": "Further tries of a request, after growing waits."})
    request_timeout: float = field(default=3600.0, metadata={"help": "Seconds for one try."})
    api_key_env: str | None = field(
        default=None, metadata={"help": "Environment variable with the server's API key, which is never stored."}
    )
    extra_body: str | None = field(
        default=None, metadata={"help": "JSON object with further fields of every request, as in '{\"top_k\": -1}'."}
    )

    def __post_init__(self) -> None:
        self.tasks = [name for each in self.tasks for name in each.split(",") if name]
        self.backend = self.backend or ("server" if self.base_url else "transformers")
        if self.backend not in OF_BACKEND:
            raise UserError(f"backend {self.backend!r} is unknown: choose one of {', '.join(OF_BACKEND)}")
        if self.backend == "server" and not self.base_url:
            raise UserError("--backend server needs its address: --base_url http://localhost:8000/v1")
        lowest = dict.fromkeys(("samples", "problems", "batch_size", "concurrency"), 1) | {"retries": 0}
        for name, least in (lowest | {"tensor_parallel_size": 1, "max_model_len": 2}).items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name}={value} must be at least {least}")
        if not 0 < self.request_timeout < math.inf:
            raise UserError(f"request_timeout={self.request_timeout} must be a number of seconds above 0")
        if self.gpu_memory_utilization is not None and not 0 < self.gpu_memory_utilization <= 1:
            raise UserError(
                f"gpu_memory_utilization={self.gpu_memory_utilization} must be a share, above 0 and at most 1"
            )
        for tau in self.g_pass_tau:
            if not 0 < tau <= 1:
                raise UserError(f"g_pass_tau {tau} must be above 0 (one right answer is enough) and at most 1 (all)")
        _ = self.sampling  # checks its own values
        default = {each.name: each.default for each in fields(self)}
        for name in set().union(*OF_BACKEND.values()) - OF_BACKEND[self.backend]:
            if getattr(self, name) != default[name]:
                owners = ", ".join(backend for backend, names in OF_BACKEND.items() if name in names)
                raise UserError(f"--{name} has no effect on backend {self.backend}: it belongs to {owners}")

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


def list_options() -> None:
    """Print every option with its default."""
    print(_parser().format_help())


def _parser() -> Any:
    from transformers import HfArgumentParser

    parser = HfArgumentParser((EvalOptions, JudgingOptions), prog="htpo eval", allow_abbrev=False)
    parser.error = refuse
    return parser


def parse_evaluation(values: dict[str, Any]) -> tuple[EvalOptions, DataOptions]:
    """Options from what stood in flags and a stored config.

    Raises:
        UserError: one is unknown, missing, or of no use.
    """
    if "model" not in values:
        raise UserError("no model: htpo eval MODEL --tasks ..., a Hugging Face id, a folder, or a name on a server")
    if "tasks" not in values:
        raise UserError("no tasks: give --tasks, as in --tasks aime24,aime25 (`htpo data list` shows all names)")
    options, judging = parse(_parser(), values, "htpo eval --options")
    problems = options.problems or PUZZLES
    return options, DataOptions(dataset=options.tasks, held_out_prompts=problems, **asdict(judging))


def all_options(options: EvalOptions, data: DataOptions) -> dict[str, Any]:
    """All options, defaults included."""
    return asdict(options) | {each.name: getattr(data, each.name) for each in fields(JudgingOptions)}
