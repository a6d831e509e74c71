"""`htpo eval`: from options to samples, verdicts and tables; comparing two evaluations, judging one again."""

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from transformers.utils.logging import disable_progress_bar

from htpo.analysis.subject import short_labels
from htpo.cli.evaluate.options import JUDGING, OF_ENGINE, WHERE_AND_HOW_FAST, EvalOptions, all_options, parse_evaluation
from htpo.cli.options import read_flags
from htpo.cli.train import QUIET
from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory, collect, compare, judge_again
from htpo.evaluate.directory import check_names
from htpo.evaluate.generators.local_models import TransformersGenerator, load_tokenizer
from htpo.evaluate.generators.server import ServerGenerator
from htpo.evaluate.generators.vllm_engine import VLLMGenerator, check_engine_options, check_prompts_fit
from htpo.evaluate.results import as_markdown, stability_table, table_of
from htpo.figures.catalogue import OF_EVALUATIONS, saved
from htpo.runs import write_atomically, write_json, writing
from htpo.statistics import estimate_text, holm, number_text
from htpo.tasks.load import load_problems
from htpo.tasks.options import DataOptions
from htpo.tasks.prompts import check_template
from htpo.tasks.task import Problems

INTERRUPTED = 130  # exit code, as shells have it after Ctrl-C
RESCORED_FROM = "rescored_from"
WORTH_A_WORD = (
    ("truncated", 0.1, "were cut off and count as wrong: raise --max_tokens"),
    ("unparsable", 0.2, "hold no answer that could be read: see what the prompt asks for with htpo data show"),
)
"""Measures, what is much of them, and what is said then."""


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


# --- measuring -----------------------------------------------------------------------------------------------------


def _evaluate(console: Console, output_dir: str | None, flags: dict[str, Any]) -> int:
    resume = flags.pop("resume", False)
    if resume and output_dir is None:
        raise UserError("--resume needs --output_dir: the evaluation to go on with")
    stored = EvaluationDirectory(str(output_dir)).run.config if resume else {}
    options, data = parse_evaluation(stored | flags)
    name = options.model.rstrip("/").rsplit("/", 1)[-1]
    directory = EvaluationDirectory(str(output_dir or f"runs/eval-{name}-{time.strftime('%Y%m%d-%H%M%S')}"))
    config = all_options(options, data)
    if not resume:
        directory.run.check_free(config)
    tokenizer = None
    if options.backend == "vllm":
        check_engine_options(_json_object("vllm_options", options.vllm_options))
    if options.backend != "server":
        if (Path(options.model) / "config.yaml").is_file():
            raise UserError(f"{options.model} is a run: its model is {Path(options.model) / 'model'}")
        tokenizer = load_tokenizer(options.model, options.model_revision, options.trust_remote_code)
    tasks = _load(options, data, _conversational(options, tokenizer))
    template_options = _json_object("chat_template_kwargs", options.chat_template_kwargs)
    for task in tasks if tokenizer is not None else ():
        check_template(task.rows[0]["prompt"], tokenizer, template_options)
    if resume:
        directory.check_resumable(config | {name: stored.get(name) for name in WHERE_AND_HOW_FAST}, tasks)
    if options.max_model_len is not None:
        for task in tasks:
            check_prompts_fit(task.rows["prompt"][:], tokenizer, options.max_model_len, template_options)
    generator = _generator(console, options, tokenizer)
    beyond = {}
    if not isinstance(generator, ServerGenerator):
        beyond = {task.name: generator.beyond_context(task.rows["prompt"][:]) for task in tasks}
    if not resume:
        directory.begin(config, tasks)
    _print_plan(console, options, tasks, directory, resume)
    for name, said in beyond.items():
        if said:
            console.print(f"[yellow]Note:[/] {escape(f'{name}: {said}')}", highlight=False, soft_wrap=True)
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
    return [_first(task, options.problems) for task in tasks]


def _first(task: Problems, count: int) -> Problems:
    if count >= len(task.rows):
        return task
    return Problems(
        task.name, task.rows.select(range(count)), task.verifier, f"{task.description}; of them the first {count}"
    )


def _conversational(options: EvalOptions, tokenizer: Any) -> bool:
    if options.backend == "server":
        return options.chat is not False
    has_template = getattr(tokenizer, "chat_template", None) is not None
    if options.chat and not has_template:
        raise UserError(f"--chat true: {options.model} has no chat template; leave it out")
    return has_template if options.chat is None else options.chat


def _generator(console: Console, options: EvalOptions, tokenizer: Any) -> Any:
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
            extra_body=_json_object("extra_body", options.extra_body),
        )
        generator.check()
        return generator
    kind, engine = TransformersGenerator, {}
    if options.backend == "vllm":
        console.print("Starting vLLM (VLLM_LOGGING_LEVEL=INFO shows its log)", highlight=False)
        kind, engine = VLLMGenerator, {"engine_options": _engine_options(options)}
    return kind(
        options.model,
        tokenizer,
        options.sampling,
        **({} if options.batch_size is None else {"batch_size": options.batch_size}),
        revision=options.model_revision,
        dtype=options.dtype,
        trust_remote_code=options.trust_remote_code,
        template_options=_json_object("chat_template_kwargs", options.chat_template_kwargs),
        **engine,
    )


def _engine_options(options: EvalOptions) -> dict[str, Any]:
    named = {name: getattr(options, name) for name in OF_ENGINE - {"vllm_options"}}
    given = {name: value for name, value in named.items() if value is not None}
    return given | _json_object("vllm_options", options.vllm_options)


def _json_object(name: str, text: str | None) -> dict[str, Any]:
    try:
        content = json.loads(text) if text else {}
    except ValueError as error:
        raise UserError(f"{name} {text!r} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{name} {text!r} must be a JSON object")
    return content


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
    samples = directory.samples()
    thinking = {name: count for name in samples if (count := directory.store(name).only_reasoning())}
    if thinking:
        notes = {**notes, "only_reasoning": thinking}
    results = directory.write_results(samples, notes)
    _print_measures(console, *table_of(results), intervals=3)
    stability = stability_table(results)
    if stability is not None:
        _print_measures(console, *stability, intervals=len(stability[0]))
    for name, found in results.items():
        for share, most, what in WORTH_A_WORD:
            if found[share]["value"] > most:
                said = f"{found[share]['value']:.0%} of the responses to {name} {what}"
                console.print(f"[yellow]Note:[/] {escape(said)}", highlight=False, soft_wrap=True)
    for name, count in thinking.items():
        said = (
            f"{count} responses to {name} held only reasoning: raise --max_tokens, or see the server's reasoning parser"
        )
        console.print(f"[yellow]Note:[/] {escape(said)}", highlight=False, soft_wrap=True)
    names = ["results.md", "results.json", "samples"]
    shown = {directory.path.name: samples}
    for _, path in saved(OF_EVALUATIONS, shown, directory.run.config["model"], directory.path / "figures"):
        if isinstance(path, Path):  # one sample per problem has no curve
            names.append(str(path.relative_to(directory.path)))
    for name in names:
        console.print(f"{name}: {escape(str(directory.path / name))}", soft_wrap=True, highlight=False)


def _print_measures(console: Console, header: list[str], rows: list[list[str]], intervals: int) -> None:
    """A table of measures that fits a terminal: intervals stand below the first means, and are left out of the rest."""
    narrow = [[cell.rstrip(")").replace(" (", "\n").replace(" to ", "-") for cell in row[2:]] for row in rows]
    cells = [row[:intervals] + [cell.partition("\n")[0] for cell in row[intervals:]] for row in narrow]
    tasks = [f"{row[0]}\nn = {row[1]}" for row in rows]
    header = [name.replace(" ", "\n") for name in (header[0], *header[2:])]
    _print_table(console, header, [[task, *rest] for task, rest in zip(tasks, cells)])


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
    options, data = parse_evaluation({n: v for n, v in old.run.config.items() if n != RESCORED_FROM} | flags)
    tasks = _load(options, data, conversational=False, bare=True)
    if [task.name for task in tasks] != list(old.tasks):
        raise UserError(f"the tasks must be those of {old.path}: {', '.join(old.tasks)}")
    stamp = time.strftime("%Y%m%d-%H%M%S")
    new = EvaluationDirectory(str(output_dir or f"{str(old.path).rstrip('/')}-rescored-{stamp}"))
    new.begin(all_options(options, data) | {RESCORED_FROM: str(old.path)}, tasks)
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
            estimate_text(row, "+.3f"),
            number_text(row["p_value"], ".4f"),
            number_text(row["holm"], ".4f"),
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
