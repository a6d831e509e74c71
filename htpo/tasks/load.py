"""From options to a task: sources are found, read, checked, divided and mixed."""

import random
from collections.abc import Sequence
from dataclasses import replace

from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks.exported import choose_grading
from htpo.tasks.gradings.grading import Grading
from htpo.tasks.mixture import mix_tasks, shares
from htpo.tasks.options import DataOptions
from htpo.tasks.prompt_checks import prompt_remarks
from htpo.tasks.prompts import Prompt, as_chat
from htpo.tasks.rows import Example, RawRows, choose_column, examples, in_words
from htpo.tasks.selection import check_options, find_source
from htpo.tasks.sources.hub import Hub
from htpo.tasks.sources.source import GeneratedSource, ReadSource
from htpo.tasks.task import Problems, Task

VERL_LAYOUT = ("prompt", "reward_model.ground_truth")


def load_task(options: DataOptions, *, conversational: bool | None = False, seed: int = 0) -> Task:
    r"""Read, check and divide the data; everything that cannot be used is reported here, before any training.

    Without `eval_dataset`, held-out problems are taken from the data, at most a tenth of its distinct prompts; prompts
    that `eval_dataset` shares with the data are not trained on. Rows whose gold answer cannot be read are left out, and
    their number is in the task's description. The gold answer of a solution is what follows its last `####` or what its
    last `\boxed{}` holds; other sentences are refused.

    Args:
        options: where prompts come from and how responses are judged.
        conversational: whether the model has a chat template: text prompts become a chat of one user message. Chat
            messages need it. None: there is no model, and prompts stay as the data has them.
        seed: of the division into train and held-out, and of generated puzzles; the same data and seed give the same.

    Returns:
        A task whose rows have the columns `prompt`, `row` (1-based number in the source) and what the verifier reads;
        puzzles have columns of their own; several sources add `source`.

    Raises:
        UserError: naming what cannot be used and the remedy: an option that is unknown, would have no effect or
            contradicts another, data that cannot be read, a missing column, rows that are unusable, nothing left.
    """
    sources = [find_source(label, options) for label in options.dataset]
    held_out = None
    if options.eval_dataset is not None:
        found = find_source(options.eval_dataset, options, held_out=True)
        if isinstance(found, GeneratedSource):
            raise UserError(f"--eval_dataset {found.label}: puzzles are held out by themselves, leave it out")
        held_out = found
    check_options(sources, options, held_out)
    if len(sources) == 1:
        task = _load(sources[0], held_out, options, options.held_out_prompts, conversational, seed)
    else:
        weights = shares(sources, options.dataset_weights)
        tasks = [
            _load(source, held_out, options, _part(options, index, weights), conversational, seed)
            for index, source in enumerate(sources)
        ]
        task = mix_tasks([source.name for source in sources], tasks, options.dataset_weights, seed)
    if options.system_prompt is None:
        return task
    train, kept = (rows and with_system_prompt(rows, options.system_prompt) for rows in (task.train, task.held_out))
    return replace(task, train=train, held_out=kept)


def _part(options: DataOptions, index: int, weights: Sequence[float]) -> int:
    """How many held-out problems a source of several gives; an evaluation set is taken once, with the first."""
    if options.eval_dataset is not None:
        return options.held_out_prompts if index == 0 else 0
    return round(options.held_out_prompts * weights[index])


def _load(
    source: GeneratedSource | ReadSource,
    held_out: ReadSource | None,
    options: DataOptions,
    problems: int,
    conversational: bool | None,
    seed: int,
) -> Task:
    """The task of one source, with at most so many held-out problems."""
    if isinstance(source, GeneratedSource):
        return source.make(options.train_prompts, problems, seed, conversational=bool(conversational))
    grading = choose_grading(source, options)
    parts, remarks = [], []
    for each in [source] if held_out is None else [source, held_out]:
        rows, notes = read_examples(each, grading, options)
        _check_prompt_form(each.label, rows, options, conversational)
        parts.append(rows)
        remarks += notes
    train, kept, division = _divide(parts, problems, seed)
    if held_out is not None and not train:
        raise UserError(f"{source.label}: nothing is left to train on, every prompt is also in {held_out.label}")
    template = grading.template if options.prompt_template is None else options.prompt_template
    return Task(
        name=source.name,
        train=_as_dataset(train, template, conversational),
        held_out=_as_dataset(kept, template, conversational) if kept else None,
        verifier=grading.verifier,
        description="; ".join(
            [f"{source.label}: {len(train)} prompts to train on, {division}", *remarks, grading.contract]
        ),
    )


def load_problems(
    options: DataOptions, *, conversational: bool = False, seed: int = 0, bare: bool = False
) -> list[Problems]:
    """All problems of every source of `options.dataset`, for an evaluation; nothing is held out or left for training.

    Hugging Face datasets are read from `eval_split`. Of puzzles and reasoning_gym, `held_out_prompts` problems are
    made, which training never sees. See `load_task` for the rest.

    Args:
        bare: leave prompts without a template, to judge answers that were given before.

    Raises:
        UserError: naming what cannot be used and the remedy.
    """
    sources = [find_source(label, options, held_out=True) for label in options.dataset]
    check_options(sources, options, next((source for source in sources if isinstance(source, Hub)), None))
    loaded = [_load_problems(source, options, conversational, seed, bare) for source in sources]
    if options.system_prompt is None or bare:
        return loaded
    return [replace(each, rows=with_system_prompt(each.rows, options.system_prompt)) for each in loaded]


def _load_problems(
    source: GeneratedSource | ReadSource, options: DataOptions, conversational: bool, seed: int, bare: bool
) -> Problems:
    if isinstance(source, GeneratedSource):
        made = source.make(1, options.held_out_prompts, seed, conversational=conversational)
        if made.held_out is None:
            raise UserError("held_out_prompts=0 leaves no problems to measure: it must be at least 1")
        return Problems(source.name, made.held_out, made.verifier, f"{source.label}: {len(made.held_out)} puzzles")
    grading = choose_grading(source, options)
    rows, remarks = read_examples(source, grading, options)
    template = "{prompt}"
    if not bare:
        _check_prompt_form(source.label, rows, options, conversational)
        template = grading.template if options.prompt_template is None else options.prompt_template
    return Problems(
        source.name,
        _as_dataset(rows, template, conversational),
        grading.verifier,
        "; ".join([f"{source.label}: {len(rows)} problems", *remarks, grading.contract]),
    )


def read_examples(source: ReadSource, grading: Grading, options: DataOptions) -> tuple[list[Example], list[str]]:
    """The usable rows of a source, and what must be said about them.

    Raises:
        UserError: nothing can be read, a column is missing, or rows cannot be used (unless `skip_bad_rows`).
    """
    raw = source.read()
    prompt_column, answer_column = _columns(raw, source, grading)
    usable = examples(raw, prompt_column, lambda row, prompt: grading.fields(row, prompt, answer_column), grading.put)
    usable, remarks = grading.settle(raw, usable, answer_column)
    reject_contradictions(raw, usable, grading)
    if not options.skip_bad_rows:
        raw.raise_defects()
    elif raw.defects:
        remarks.append(f"left out of {raw.label}: {in_words(raw.defects, raw.unit)}")
    usable = [example for example in usable if example.row not in raw.defects]
    if not usable:
        raise UserError(f"{raw.label}: no row can be used; {in_words(raw.defects, raw.unit)}")
    return usable, remarks + prompt_remarks(raw.label, raw.unit, usable, grading.form)


def _columns(raw: RawRows, source: ReadSource, grading: Grading) -> tuple[str, str]:
    """The prompt's column and the answer's; verl's layout is known by its columns."""
    prompts, answers = source.prompt_columns, source.answer_columns
    if {"prompt", "reward_model"} <= set(raw.columns):
        prompts, answers = (*prompts, VERL_LAYOUT[0]), (*answers, VERL_LAYOUT[1])
    answer = choose_column(raw, "answer_column", answers) if grading.needs_answer else answers[0]
    return choose_column(raw, "prompt_column", prompts), answer


def reject_contradictions(raw: RawRows, rows: Sequence[Example], grading: Grading) -> None:
    """Note rows that ask the same as an earlier one but want another answer."""
    first: dict[str, Example] = {}
    for example in rows:
        earlier = first.setdefault(prompt_key(example), example)
        if earlier is not example and not grading.same_answer(earlier, example):
            raw.reject(example.row, f"the prompt of {raw.unit} {earlier.row} again, with another gold answer")


def _check_prompt_form(label: str, rows: Sequence[Example], options: DataOptions, conversational: bool | None) -> None:
    if isinstance(rows[0].prompt, str):
        if options.answer_pattern is not None and options.prompt_template is None:
            raise UserError(
                "--answer_pattern needs a --prompt_template that asks for this form: the default asks for \\boxed{}"
            )
    elif options.prompt_template is not None:
        raise UserError(f"--prompt_template has no effect on {label}: its prompts are chat messages, used as they are")
    elif conversational is False:
        raise UserError(f"{label}: the prompts are chat messages, but the model has no chat template; use text prompts")


def _divide(
    parts: Sequence[list[Example]], held_out_prompts: int, seed: int
) -> tuple[list[Example], list[Example], str]:
    """The rows to train on, the held-out ones (each prompt once), and the division in words."""
    rows = parts[0]
    candidates: dict[str, Example] = {}
    for example in parts[-1]:
        candidates.setdefault(prompt_key(example), example)
    keys = list(candidates)
    random.Random(seed).shuffle(keys)
    if len(parts) == 1:
        chosen = keys[: min(held_out_prompts, max(1, len(keys) // 10), len(keys) - 1)]
        excluded = set(chosen)
        division = f"{len(chosen)} others held out (of {len(keys)} distinct prompts, drawn with seed {seed})"
    else:
        chosen = keys[:held_out_prompts]
        excluded = set(keys)
        division = f"{len(chosen)} of {len(keys)} held out from the evaluation data (drawn with seed {seed})"
    train = [example for example in rows if prompt_key(example) not in excluded]
    if len(parts) > 1 and len(train) < len(rows):
        division += f", {len(rows) - len(train)} rows left out of training because their prompts are there too"
    return train, [candidates[key] for key in chosen], division


def prompt_key(example: Example) -> str:
    """The prompt's text without differences of white space: what makes two prompts the same."""
    if isinstance(example.prompt, str):
        return " ".join(example.prompt.split())
    return "\n".join(f"{message['role']}: {' '.join(message['content'].split())}" for message in example.prompt)


def _as_dataset(rows: Sequence[Example], template: str, conversational: bool | None) -> Dataset:
    def prompt_of(example: Example) -> Prompt:
        if not isinstance(example.prompt, str):
            return example.prompt
        text = template.replace("{prompt}", example.prompt)
        return as_chat(text) if conversational else text

    # By columns: from a list of rows, only those of the first row would be taken.
    names = dict.fromkeys(name for example in rows for name in example.fields)
    columns = {name: [example.fields.get(name) for example in rows] for name in names}
    return Dataset.from_dict(
        {"prompt": [prompt_of(example) for example in rows], **columns, "row": [example.row for example in rows]}
    )


def with_system_prompt(rows: Dataset, text: str) -> Dataset:
    """The same rows, each chat beginning with a system message.

    Raises:
        UserError: the prompts are text, or begin with a system message of their own.
    """
    if not text.strip():
        raise UserError("--system_prompt is empty: leave it out")
    if isinstance(rows[0]["prompt"], str):
        raise UserError(
            "--system_prompt needs prompts that are chat messages, and these are text (the model has no chat "
            "template): write it into --prompt_template"
        )
    if any(prompt[0]["role"] == "system" for prompt in rows["prompt"]):
        raise UserError("--system_prompt: the prompts begin with a system message of their own; leave it out")
    system = {"role": "system", "content": text}
    return Dataset.from_list([{**row, "prompt": [system, *row["prompt"]]} for row in rows])
