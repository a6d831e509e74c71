"""`htpo eval`: from options to samples, verdicts and tables; comparing two evaluations, judging one again."""

import json
import logging
import math
import os
import time
from dataclasses import asdict, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

from htpo.analysis.figures import evaluation_figures
from htpo.analysis.sources import short_labels
from htpo.cli.options import parse, read_flags, refuse
from htpo.cli.train import QUIET
from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory, SamplingOptions, collect, compare, judge_again
from htpo.evaluate.directory import check_names
from htpo.evaluate.local_models import TransformersGenerator, VLLMGenerator, load_tokenizer
from htpo.evaluate.results import as_markdown, table_of
from htpo.evaluate.server import ServerGenerator
from htpo.runs import write_atomically, write_json, writing
from htpo.study.statistics import holm
from htpo.tasks.data_options import DataOptions
from htpo.tasks.sources import load_problems
from htpo.tasks.task import Problems

INTERRUPTED = 130  # exit code, as shells have it after Ctrl-C
RESCORED_FROM = "rescored_from"
PUZZLES = 128  # made of a family without --problems
OF_TRAINING = {"dataset", "dataset_weights", "dataset_split", "eval_dataset", "train_prompts", "held_out_prompts"}
LOCAL = {"batch_size", "model_revision", "dtype", "trust_remote_code"}
OF_BACKEND = {
    "transformers": LOCAL,
    "vllm": LOCAL,
    "server": {"base_url", "concurrency", "retries", "request_timeout", "api_key_env", "extra_body"},
}
WORTH_A_WORD = (
    ("truncated", 0.1, "were cut off and count as wrong: raise --max_tokens"),
    ("unparsable", 0.2, "hold no answer that could be read: see what the prompt asks for with htpo data show"),
)
"""Measures, what is much of them, and what is said then."""
WHERE_AND_HOW_FAST = {"batch_size", "base_url", "concurrency", "retries", "request_timeout", "api_key_env"}
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
        for name, least in {"samples": 1, "problems": 1, "batch_size": 1, "concurrency": 1, "retries": 0}.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name}={value} must be at least {least}")
        if not 0 < self.request_timeout < math.inf:
            raise UserError(f"request_timeout={self.request_timeout} must be a number of seconds above 0")
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
JUDGING = {each.name for each in fields(JudgingOptions)} - {"prompt_template"}
"""What may change when stored responses are judged again."""


def evaluate_from_arguments(arguments: list[str]) -> int:
    """Run `htpo eval [MODEL] [--option value ...]`; returns the exit code: 1 when samples are missing."""
    flags: dict[str, Any] = {}
    if arguments and not arguments[0].startswith("--"):
        flags["model"], *arguments = arguments
    flags |= read_flags(arguments)
    disable_progress_bar()  # transformers' own, one for every file
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.ERROR)
    output_dir, compared, rescored = (flags.pop(name, None) for name in ("output_dir", "compare", "rescore"))
    console = Console()
    if compared is not None:
        return _compare(console, compared, output_dir, flags)
    if rescored is not None:
        return _judge_again(console, EvaluationDirectory(str(rescored)), output_dir, flags)
    return _evaluate(console, output_dir, flags)


def list_options() -> None:
    """Print every option with its default."""
    print(_parser().format_help())


def _parser() -> Any:
    from transformers import HfArgumentParser

    parser = HfArgumentParser((EvalOptions, JudgingOptions), prog="htpo eval", allow_abbrev=False)
    parser.error = refuse
    return parser


def _parsed(values: dict[str, Any]) -> tuple[EvalOptions, DataOptions]:
    if "model" not in values:
        raise UserError("no model: htpo eval MODEL --tasks ..., a Hugging Face id, a folder, or a name on a server")
    if "tasks" not in values:
        raise UserError("no tasks: give --tasks, as in --tasks aime24,aime25 (`htpo data list` shows all names)")
    options, judging = parse(_parser(), values, "htpo eval --options")
    problems = options.problems or PUZZLES
    return options, DataOptions(dataset=options.tasks, held_out_prompts=problems, **asdict(judging))


# --- measuring -----------------------------------------------------------------------------------------------------


def _evaluate(console: Console, output_dir: str | None, flags: dict[str, Any]) -> int:
    resume = flags.pop("resume", False)
    if resume and output_dir is None:
        raise UserError("--resume needs --output_dir: the evaluation to go on with")
    stored = EvaluationDirectory(str(output_dir)).run.config if resume else {}
    options, data = _parsed(stored | flags)
    name = options.model.rstrip("/").rsplit("/", 1)[-1]
    directory = EvaluationDirectory(str(output_dir or f"runs/eval-{name}-{time.strftime('%Y%m%d-%H%M%S')}"))
    config = _config(options, data)
    if not resume:
        directory.run.check_free(config)
    tokenizer = None
    if options.backend != "server":
        if (Path(options.model) / "config.yaml").is_file():
            raise UserError(f"{options.model} is a run: its model is {Path(options.model) / 'model'}")
        tokenizer = load_tokenizer(options.model, options.model_revision, options.trust_remote_code)
    tasks = _load(options, data, _conversational(options, tokenizer))
    if resume:
        directory.check_resumable(config | {name: stored.get(name) for name in WHERE_AND_HOW_FAST}, tasks)
    generator = _generator(options, tokenizer)
    if not resume:
        directory.begin(config, tasks)
    _print_plan(console, options, tasks, directory, resume)
    missing = 0
    try:
        with writing(directory.path):
            for task in tasks:
                missing += collect(task, generator, directory.store(task.name), options.samples, progress=task.name)
    except KeyboardInterrupt:
        console.print(f"Interrupted. {_how_to_go_on(directory)}", highlight=False, soft_wrap=True)
        return INTERRUPTED
    except UserError as error:
        raise UserError(f"{error}. {_how_to_go_on(directory)}") from error
    notes: dict[str, Any] = {"options": {name: getattr(options, name) for name in sorted(WHERE_AND_HOW_FAST)}}
    if isinstance(generator, ServerGenerator):
        notes["requests"] = {"without_answer": generator.failed, "tried_again": dict(generator.tried_again)}
        if generator.tried_again:
            reasons = ", ".join(f"{count} for {reason}" for reason, count in generator.tried_again.items())
            console.print(f"Tries that failed: {escape(reasons)}", highlight=False, soft_wrap=True)
    if missing:
        console.print(f"[yellow]{missing} samples are missing.[/] {_how_to_go_on(directory)}", soft_wrap=True)
        return 1
    _report(console, directory, notes)
    return 0


def _load(options: EvalOptions, data: DataOptions, conversational: bool, *, bare: bool = False) -> list[Problems]:
    tasks = load_problems(data, conversational=conversational, seed=options.seed, bare=bare)
    check_names(tasks)
    if options.problems is None:
        return tasks
    return [
        Problems(
            task.name, task.rows.select(range(min(options.problems, len(task.rows)))), task.verifier, task.description
        )
        for task in tasks
    ]


def _conversational(options: EvalOptions, tokenizer: Any) -> bool:
    if options.backend == "server":
        return options.chat is not False
    has_template = getattr(tokenizer, "chat_template", None) is not None
    if options.chat and not has_template:
        raise UserError(f"--chat true: {options.model} has no chat template; leave it out")
    return has_template if options.chat is None else options.chat


def _generator(options: EvalOptions, tokenizer: Any) -> Any:
    if options.backend == "server":
        key = os.environ.get(options.api_key_env) if options.api_key_env else None
        if options.api_key_env and not key:
            raise UserError(f"--api_key_env {options.api_key_env}: this environment variable is not set")
        generator = ServerGenerator(
            options.model,
            options.base_url,
            options.sampling,
            chat=options.chat is not False,
            concurrency=options.concurrency,
            retries=options.retries,
            request_timeout=options.request_timeout,
            api_key=key,
            extra_body=_json_object(options.extra_body),
        )
        generator.check()
        return generator
    kind = VLLMGenerator if options.backend == "vllm" else TransformersGenerator
    return kind(
        options.model,
        tokenizer,
        options.sampling,
        **({} if options.batch_size is None else {"batch_size": options.batch_size}),
        revision=options.model_revision,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
    )


def _json_object(text: str | None) -> dict[str, Any]:
    try:
        content = json.loads(text) if text else {}
    except ValueError as error:
        raise UserError(f"extra_body {text!r} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"extra_body {text!r} must be a JSON object")
    return content


def _config(options: EvalOptions, data: DataOptions) -> dict[str, Any]:
    """All options, defaults included."""
    return asdict(options) | {each.name: getattr(data, each.name) for each in fields(JudgingOptions)}


def _print_plan(
    console: Console, options: EvalOptions, tasks: list[Problems], directory: EvaluationDirectory, resume: bool
) -> None:
    for task in tasks:
        console.print(f"[cyan]{escape(task.description)}[/]", highlight=False, soft_wrap=True)
    problems = sum(len(task.rows) for task in tasks)
    done = f", {directory.stored()} of them stored before" if resume else ""
    lines = [
        f"{problems} problems x {options.samples} samples = {problems * options.samples:,} responses{done}, at "
        f"temperature {options.temperature:g}, top-p {options.top_p:g}, at most {options.max_tokens} tokens each",
        f"{options.model} by {options.backend}, into {directory.path}",
    ]
    for line in lines:
        console.print(escape(line), highlight=False, soft_wrap=True)


def _how_to_go_on(directory: EvaluationDirectory) -> str:
    return (
        f"{directory.stored()} of {directory.wanted()} samples are stored; go on with "
        f"htpo eval --resume --output_dir {directory.path}"
    )


def _report(console: Console, directory: EvaluationDirectory, notes: dict[str, Any]) -> None:
    results = directory.write_results(notes)
    header, rows = table_of(results)
    # To fit a terminal, intervals stand below their means, and those of shares and lengths in results.md alone.
    narrow = [[cell.rstrip(")").replace(" (", "\n").replace(" - ", "-") for cell in row[2:5]] for row in rows]
    shares = [[cell.partition(" (")[0] for cell in row[5:]] for row in rows]
    tasks = [f"{row[0]}\nn = {row[1]}" for row in rows]
    header = [name.replace(" ", "\n") for name in (header[0], *header[2:])]
    _print_table(console, header, [[task, *rates, *rest] for task, rates, rest in zip(tasks, narrow, shares)])
    for name, found in results.items():
        for share, most, what in WORTH_A_WORD:
            if found[share]["mean"] > most:
                said = f"{found[share]['mean']:.0%} of the responses to {name} {what}"
                console.print(f"[yellow]Note:[/] {escape(said)}", highlight=False, soft_wrap=True)
    names = ["results.md", "results.json", "samples"]
    if directory.run.config["samples"] > 1:
        figures = evaluation_figures({directory.path.name: directory.samples()}, directory.run.config["model"])
        for draw in figures.values():
            picture = draw().save(directory.path / "figures")
            names.append(str(picture.relative_to(directory.path)))
    for name in names:
        console.print(f"{name}: {escape(str(directory.path / name))}", soft_wrap=True, highlight=False)


def _print_table(console: Console, header: list[str], rows: list[list[str]]) -> None:
    table = Table(*header, box=SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


# --- stored samples ------------------------------------------------------------------------------------------------


def _judge_again(console: Console, old: EvaluationDirectory, output_dir: str | None, flags: dict[str, Any]) -> int:
    old.samples()  # raises unless it is finished
    for name in flags:
        if name not in JUDGING | {"tasks"}:
            raise UserError(f"--{name} has no effect on --rescore, which generates nothing: leave it out")
    options, data = _parsed({n: v for n, v in old.run.config.items() if n != RESCORED_FROM} | flags)
    tasks = _load(options, data, conversational=False, bare=True)
    if [task.name for task in tasks] != list(old.tasks):
        raise UserError(f"the tasks must be those of {old.path}: {', '.join(old.tasks)}")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    new = EvaluationDirectory(str(output_dir or f"{str(old.path).rstrip('/')}-rescored-{stamp}"))
    new.begin(_config(options, data) | {RESCORED_FROM: str(old.path)}, tasks)
    with writing(new.path):
        for task in tasks:
            judge_again(task, old.store(task.name), new.store(task.name), progress=task.name)
    _report(console, new, {RESCORED_FROM: str(old.path)})
    return 0


def _compare(console: Console, compared: Any, output_dir: str | None, flags: dict[str, Any]) -> int:
    if not isinstance(compared, list) or len(compared) != 2:
        raise UserError("--compare needs two directories of evaluations: --compare A B")
    if flags:
        raise UserError(f"--{next(iter(flags))} has no effect on --compare: leave it out")
    first, second = (EvaluationDirectory(str(path)) for path in compared)
    rows = compare(first.samples(), second.samples())
    adjusted = holm([row["p_value"] for row in rows])
    rows = [{**row, "holm": each} for row, each in zip(rows, adjusted)]
    for name in {row["task"]: None for row in rows}:
        if first.tasks[name]["digest"] != second.tasks[name]["digest"]:
            console.print(f"[yellow]Note:[/] prompts or gold answers of {escape(name)} differ between the two")
    header = ["task", "measure", *short_labels([first.path, second.path]), "difference", "p", "p (Holm)"]
    cells = [
        [
            row["task"],
            row["measure"],
            f"{row['first']:.3f}",
            f"{row['second']:.3f}",
            f"{row['mean']:+.3f}" + ("" if row["low"] is None else f" ({row['low']:+.3f} to {row['high']:+.3f})"),
            f"{row['p_value']:.4f}",
            f"{row['holm']:.4f}",
        ]
        for row in rows
    ]
    _print_table(console, header, [[cell.replace(" (", "\n(") for cell in row] for row in cells])
    if output_dir is not None:
        directory = EvaluationDirectory(str(output_dir)).path
        with writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            write_json(directory / "comparison.json", {"first": compared[0], "second": compared[1], "rows": rows})
            write_atomically(directory / "comparison.md", as_markdown(header, cells))
        console.print(f"comparison.md, comparison.json: {escape(str(directory))}", soft_wrap=True, highlight=False)
    return 0
