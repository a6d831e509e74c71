"""`htpo data`: what the sources are, what the model will see of one, and what is wrong with it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from htpo.cli.options import read_flags
from htpo.environments import is_environment
from htpo.errors import UserError
from htpo.option_parsing import parse, refuse
from htpo.tasks import load_task
from htpo.tasks.exported import choose_grading
from htpo.tasks.gradings import GRADINGS
from htpo.tasks.load import read_examples
from htpo.tasks.options import DataOptions
from htpo.tasks.overlap import find_overlaps
from htpo.tasks.prompt_lengths import prompt_lengths
from htpo.tasks.prompts import Prompt, as_sent, check_template, readable
from htpo.tasks.selection import find_source
from htpo.tasks.sources import SOURCES
from htpo.tasks.sources.source import GeneratedSource
from htpo.verifiers import Verdict

SHOWN = 1000  # characters of a prompt or response
OVERLAPS_SHOWN = 10


@dataclass
class ShowOptions(DataOptions):
    """What `htpo data show` takes beside the options of the data."""

    rows: int = field(default=2, metadata={"help": "Rows to show."})
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Show prompts as this model's chat template writes them."}
    )
    seed: int = field(default=0, metadata={"help": "Of generated puzzles and of what is held out."})


@dataclass
class CheckOptions(DataOptions):
    """What `htpo data check` takes beside the options of the data."""

    against: list[str] | None = field(
        default=None,
        metadata={"help": "Benchmarks (sources) that the data must not contain. NAME=FILE reads a local file."},
    )
    max_prompt_length: int | None = field(
        default=None, metadata={"help": "Count prompts with more tokens than this, of the model named."}
    )
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Whose tokenizer and chat template count the tokens of a prompt."}
    )


def list_sources() -> None:
    """Print everything that `--dataset` knows by name, and what `--verifier` takes."""
    console = Console()
    table = Table("name", "verifier", "Hugging Face id", "what")
    lines = []
    for named, line in (kind.listed() for kind in SOURCES):
        for cells in named:
            table.add_row(*cells)
        lines += [line] if line else []
    console.print(table)
    judges = [f"--verifier {name}: {kind.words}" for name, kind in GRADINGS.items()]
    for line in lines + judges:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def show(arguments: list[str]) -> None:
    """Print rows of a source as the model and the verifier see them, and how a right and a wrong answer are judged."""
    options = data_options(ShowOptions, arguments, "htpo data show")
    _refuse_environments(options.dataset)
    options = replace(options, held_out_prompts=0)
    if all(isinstance(find_source(label, options), GeneratedSource) for label in options.dataset):
        options = replace(options, train_prompts=max(options.rows, 2))  # the next row's answer is shown, too
    tokenizer = _tokenizer(options.model_name_or_path)
    conversational = None if tokenizer is None else tokenizer.chat_template is not None
    task = load_task(options, conversational=conversational, seed=options.seed)
    if tokenizer is not None:
        check_template(task.train[0]["prompt"], tokenizer)
    console = Console()
    console.print(escape(task.description), style="cyan", highlight=False, soft_wrap=True)
    rows = task.train.select(range(min(options.rows, len(task.train)))).to_list()
    try:
        for number, row in enumerate(rows):
            other = task.train[(number + 1) % len(task.train)]
            _show_row(console, row, other, task.verifier, tokenizer)
    finally:
        task.verifier.close()


def _show_row(console: Console, row: dict[str, Any], other: dict[str, Any], verifier: Any, tokenizer: Any) -> None:
    console.rule(f"row {row['row']}" if "row" in row else "")
    seen = readable(row["prompt"]) if tokenizer is None else as_sent(row["prompt"], tokenizer)
    console.print(_part("prompt", seen), highlight=False, soft_wrap=True)
    for name, value in row.items():
        if name not in ("prompt", "row", "solution") and value is not None:
            console.print(_part(name, str(value)), highlight=False, soft_wrap=True)
    for title, solution in (("a right response", row.get("solution")), ("another row's", other.get("solution"))):
        if solution is None:
            console.print(_part(title, "none is known"), highlight=False, soft_wrap=True)
            continue
        verdict = verifier.judge([solution], [row])[0]
        judged = "[green]right[/]" if verdict.correct else f"[red]wrong[/] {verdict.failure or ''}"
        console.print(
            _part(title, solution) + f"\n  judged {judged}, {_earned(verdict)}", highlight=False, soft_wrap=True
        )


def _earned(verdict: Verdict) -> str:
    return "no reward" if verdict.reward is None else f"reward {verdict.reward:g}"


def check(arguments: list[str]) -> int:
    """Print what is wrong with the data and what of it is in benchmarks; the exit code is 1 when anything is."""
    options = data_options(CheckOptions, arguments, "htpo data check")
    _refuse_environments(options.dataset)
    console = Console()
    strict = replace(options, skip_bad_rows=True)
    if (options.max_prompt_length is None) != (options.model_name_or_path is None):
        raise UserError("max_prompt_length and model_name_or_path go together: the model's tokenizer counts the tokens")

    def read(label: str) -> tuple[list[Any], bool]:
        source = find_source(label, strict)
        if isinstance(source, GeneratedSource):
            raise UserError(f"{label}: puzzles are made right and held out by themselves; check data that is read")
        rows, remarks = read_examples(source, choose_grading(source, strict), strict)
        console.print(f"[bold]{escape(label)}[/]: {len(rows)} rows can be used", highlight=False, soft_wrap=True)
        for remark in remarks:
            console.print(f"  {escape(remark)}", highlight=False, soft_wrap=True)
        return rows, bool(remarks)

    suspicious = False
    references = {label: read(label)[0] for label in options.against or ()}
    for label in options.dataset:
        rows, remarked = read(label)
        suspicious |= remarked
        texts = [_text(row.prompt) for row in rows]
        copies = sum(count - 1 for count in Counter(texts).values())
        if copies:
            suspicious = True
            console.print(f"  {copies} rows repeat a prompt with the same answer", highlight=False, soft_wrap=True)
        for name, reference in references.items():
            overlaps = find_overlaps(texts, [_text(row.prompt) for row in reference])
            suspicious |= bool(overlaps)
            exact = sum(overlap.exact for overlap in overlaps)
            console.print(
                f"  in {escape(name)}: {exact} the same, {len(overlaps) - exact} nearly",
                highlight=False,
                soft_wrap=True,
            )
            for overlap in sorted(overlaps, key=lambda overlap: -overlap.share)[:OVERLAPS_SHOWN]:
                places = f"row {rows[overlap.first].row} is row {reference[overlap.second].row}"
                text = _clip(" ".join(texts[overlap.first].split()), 80)
                console.print(escape(f"    {places} ({overlap.share:.0%}): {text}"), highlight=False, soft_wrap=True)
    if options.max_prompt_length is not None:
        suspicious |= _too_long(console, strict)
    return int(suspicious)


def _too_long(console: Console, options: CheckOptions) -> bool:
    """Print how many prompts are longer than the limit, as the model will see them; whether any is."""
    tokenizer = _tokenizer(options.model_name_or_path)
    conversational = tokenizer.chat_template is not None
    task = load_task(replace(options, held_out_prompts=0, eval_dataset=None), conversational=conversational)
    try:
        excess = prompt_lengths(task.train, tokenizer).excess(options.max_prompt_length, "prompts")
    finally:
        task.verifier.close()
    if excess is not None:
        console.print(f"  {escape(excess)}", highlight=False, soft_wrap=True)
    return excess is not None


def data_options(kind: type, arguments: list[str], command: str) -> Any:
    """Options of a command of `htpo data`: sources first, then flags.

    Raises:
        UserError: there is no source, or an option that is unknown or of another type.
    """
    from transformers import HfArgumentParser

    names = []
    while arguments and not arguments[0].startswith("--"):
        names.append(arguments[0])
        arguments = arguments[1:]
    values = read_flags(arguments) | ({"dataset": names} if names else {})
    if "dataset" not in values:
        raise UserError(f"{command} needs a source: `htpo data list` shows those with a name")
    parser = HfArgumentParser(kind, prog=command, allow_abbrev=False)
    parser.error = refuse
    return parse(parser, values, f"{command} --help")[0]


def _refuse_environments(labels: Sequence[str]) -> None:
    for label in filter(is_environment, labels):
        raise UserError(
            f"{label} is an environment, whose tasks are played and not answered: see htpo eval MODEL --tasks {label}, "
            f"or write them for verl by htpo data export {label}"
        )


def _tokenizer(name: str | None) -> Any:
    if name is None:
        return None
    from htpo.evaluate import load_tokenizer

    return load_tokenizer(name)


def _text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n".join(m["content"] for m in prompt if m["role"] == "user")


def _part(title: str, text: str) -> str:
    return f"[bold]{title}[/]: {escape(_clip(text, SHOWN))}"


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
