"""Where prompts come from: the built-in puzzles, a file, or a dataset on the Hugging Face Hub."""

import random
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks.math_verifier import MathVerifier
from htpo.tasks.prompts import tokenize_prompts
from htpo.tasks.puzzles import PUZZLE_FAMILIES
from htpo.tasks.rows import READERS, Example, Table, examples, read_table
from htpo.tasks.task import Task

BOXED_PROMPT = "{prompt}\n\nPlease reason step by step, and put your final answer within \\boxed{}."
DEFAULT_COUNT = 4096
FINAL_ANSWER_MARK = "####"  # GSM8K's: what stands before it is the solution, after it the answer


def load_task(
    dataset: str,
    *,
    verifier: str | None = None,
    split: str = "train",
    config_name: str | None = None,
    prompt_column: str = "problem",
    answer_column: str = "answer",
    prompt_template: str | None = None,
    answer_pattern: str | None = None,
    conversational: bool = False,
    eval_dataset: str | None = None,
    eval_split: str = "test",
    train_prompts: int = DEFAULT_COUNT,
    held_out_prompts: int = 128,
    seed: int = 0,
) -> Task:
    r"""Read, check and divide a dataset; everything that cannot be used is reported here, before any training.

    Rows whose gold answer math-verify cannot read are left out, and their number is in the task's description.
    Where every gold answer has the form of GSM8K, `solution #### answer`, what follows the mark is the gold answer.

    Args:
        dataset: built-in puzzles by the name of their family ("number_path", "countdown", "latin_square"), a .jsonl,
            .json or .parquet file, or a Hugging Face id.
        verifier: how answers are judged: "math" (`MathVerifier`). The puzzles bring their own.
        split: split of a Hugging Face dataset to train on.
        config_name: configuration of a Hugging Face dataset (also of `eval_dataset`, when that is the same one).
        prompt_column: column with the problem: text, or chat messages, which are used as they are. Dots reach into
            objects: `extra.problem`.
        answer_column: column with the gold answer: text or a number; dots as above.
        prompt_template: text with `{prompt}` where the problem goes. The default asks for the answer in `\boxed{}`,
            which is where the verifier looks.
        answer_pattern: regular expression with one group for the final answer, instead of `\boxed{}`; text prompts
            then need a `prompt_template` that asks for that form.
        conversational: whether the model has a chat template: text prompts become a chat of one user message. Chat
            messages need it.
        eval_dataset: file or Hugging Face id of the held-out problems (same columns and template). Prompts it shares
            with `dataset` are not trained on.
        eval_split: split of a Hugging Face `eval_dataset`.
        train_prompts: number of puzzles to generate; other datasets are used whole.
        held_out_prompts: at most this many held-out problems, drawn with `seed`. Without `eval_dataset` they are
            taken from `dataset`, at most a tenth of its distinct prompts, and never trained on.
        seed: of the draw; the same data and seed give the same division.

    Returns:
        A task whose rows have the columns `prompt`, `answer` (text) and `row` (1-based number in the source); the
        puzzles have columns of their own.

    Raises:
        UserError: naming what cannot be used and the remedy: an option that is unknown, would have no effect or
            contradicts another, data that cannot be read, a missing column, rows that are unusable, nothing left.
    """
    if held_out_prompts < 0:
        raise UserError(f"held_out_prompts={held_out_prompts} must not be negative; 0 holds nothing out")
    if dataset in PUZZLE_FAMILIES:
        _refuse(
            f"has no effect on the built-in {dataset} puzzles; leave it out, or give a --dataset of your own",
            verifier=verifier,
            dataset_split=split != "train",
            dataset_config=config_name,
            prompt_column=prompt_column != "problem",
            answer_column=answer_column != "answer",
            prompt_template=prompt_template,
            answer_pattern=answer_pattern,
            eval_dataset=eval_dataset,
            eval_split=eval_split != "test",
        )
        make_task = getattr(import_module(f"htpo.tasks.{dataset}"), f"{dataset}_task")
        return make_task(train_prompts=train_prompts, held_out_prompts=held_out_prompts, seed=seed)

    _refuse(f"counts generated puzzles; {dataset} is used whole", train_prompts=train_prompts != DEFAULT_COUNT)
    if _is_file(dataset):
        why = f"belongs to Hugging Face datasets; {dataset} is a file"
        _refuse(why, dataset_split=split != "train", dataset_config=config_name)
    if eval_dataset is None or _is_file(eval_dataset):
        _refuse("needs an --eval_dataset from the Hugging Face Hub", eval_split=eval_split != "test")
    if verifier != "math":
        wrong = "needs a verifier" if verifier is None else f"cannot be judged by an unknown verifier {verifier!r}"
        raise UserError(f"{dataset} {wrong}: set --verifier math")
    if prompt_template is not None and "{prompt}" not in prompt_template:
        raise UserError(f"prompt_template {prompt_template!r} must say where the problem goes, with {{prompt}}")
    judge = MathVerifier(answer_pattern=answer_pattern)

    sources = [(dataset, split, config_name)]
    if eval_dataset is not None:
        sources.append((eval_dataset, eval_split, config_name if eval_dataset == dataset else None))
    parts, notes = [], []
    for name, part, config in sources:
        table = read_table(name, (prompt_column, answer_column), part, config)
        rows, remarks = _checked_rows(table, prompt_column, answer_column, judge)
        _check_prompt_form(name, rows, prompt_template, answer_pattern, conversational)
        parts.append(rows)
        notes += remarks
    train, held_out, division = _divide(parts, held_out_prompts, seed)
    if not train:
        raise UserError(f"{dataset}: nothing is left to train on, every prompt is also in {eval_dataset}")
    sought = "the last \\boxed{}" if answer_pattern is None else f"the last match of {answer_pattern!r}"
    notes += [f"math-verify judges {sought}"]
    template = BOXED_PROMPT if prompt_template is None else prompt_template
    return Task(
        name=Path(dataset).stem if _is_file(dataset) else dataset,
        train=_as_dataset(train, template, conversational),
        held_out=_as_dataset(held_out, template, conversational) if held_out else None,
        verifier=judge,
        description="; ".join([f"{dataset}: {len(train)} prompts to train on, {division}", *notes]),
    )


def _refuse(why: str, **given: Any) -> None:
    """Refuse the first option that is given."""
    for name, value in given.items():
        if value:
            raise UserError(f"--{name} {why}")


def _is_file(dataset: str) -> bool:
    return Path(dataset).suffix.lower() in READERS


def _checked_rows(
    table: Table, prompt_column: str, answer_column: str, judge: MathVerifier
) -> tuple[list[Example], list[str]]:
    """The rows that can be trained on or measured, and what the description must say of them."""
    usable, notes = examples(table, prompt_column, answer_column), []
    if usable and all(FINAL_ANSWER_MARK in example.answer for example in usable):
        usable = [replace(row, answer=row.answer.rpartition(FINAL_ANSWER_MARK)[2].strip()) for row in usable]
        notes.append(f"gold answers of {table.label} are what follows the last {FINAL_ANSWER_MARK}")
    for example in usable:
        if not example.answer.strip("$ \t\r\n"):
            table.reject(example.row, f"the gold answer (column {answer_column!r}) is empty")
    table.raise_problems()

    try:
        reasons = judge.check_golds([example.answer for example in usable])
    finally:
        judge.close()  # the next answers are far away, and may be judged by another process
    left_out = [(example.row, reason) for example, reason in zip(usable, reasons) if reason is not None]
    if left_out:
        number, reason = left_out[0]
        if len(left_out) == len(usable):
            raise UserError(
                f"{table.label}: none of the {len(usable)} gold answers in column {answer_column!r} can be judged "
                f"({table.unit} {number}: {reason}); set --answer_column to one with final answers"
            )
        rows = "row" if len(left_out) == 1 else "rows"
        notes.append(f"{len(left_out)} {rows} of {table.label} left out ({table.unit} {number}: {reason})")
    return [example for example, reason in zip(usable, reasons) if reason is None], notes


def _check_prompt_form(
    label: str, rows: Sequence[Example], prompt_template: str | None, answer_pattern: str | None, conversational: bool
) -> None:
    if isinstance(rows[0].prompt, str):
        if answer_pattern is not None and prompt_template is None:
            raise UserError(
                "--answer_pattern needs a --prompt_template that asks for this form: the default asks for \\boxed{}"
            )
    elif prompt_template is not None:
        raise UserError(f"--prompt_template has no effect on {label}: its prompts are chat messages, used as they are")
    elif not conversational:
        raise UserError(f"{label}: the prompts are chat messages, but the model has no chat template; use text prompts")


def _divide(
    parts: Sequence[list[Example]], held_out_prompts: int, seed: int
) -> tuple[list[Example], list[Example], str]:
    """The rows to train on, the held-out ones (each prompt once), and the division in words."""
    rows, candidates = parts[0], {}
    for example in parts[-1]:
        candidates.setdefault(_key(example), example)
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
    train = [example for example in rows if _key(example) not in excluded]
    if len(parts) > 1 and len(train) < len(rows):
        division += f", {len(rows) - len(train)} rows left out of training because their prompts are there too"
    return train, [candidates[key] for key in chosen], division


def _key(example: Example) -> str:
    """The prompt's text without differences of white space: what makes two prompts the same."""
    if isinstance(example.prompt, str):
        return " ".join(example.prompt.split())
    return "\n".join(f"{message['role']}: {' '.join(message['content'].split())}" for message in example.prompt)


def _as_dataset(rows: Sequence[Example], template: str, conversational: bool) -> Dataset:
    def prompt_of(example: Example) -> str | list[dict[str, str]]:
        if not isinstance(example.prompt, str):
            return example.prompt
        text = template.replace("{prompt}", example.prompt)
        return [{"role": "user", "content": text}] if conversational else text

    return Dataset.from_list(
        [{"prompt": prompt_of(example), "answer": example.answer, "row": example.row} for example in rows]
    )


def check_prompt_lengths(task: Task, tokenizer: Any, max_prompt_length: int) -> None:
    """Refuse prompts of more than `max_prompt_length` tokens, counted as the model will see them.

    Raises:
        UserError: with their number, the longest and its row; or when chat prompts meet a tokenizer without template.
    """
    for part, rows in (("training", task.train), ("held-out", task.held_out)):
        if rows is None:
            continue
        lengths: list[int] = []
        for start in range(0, len(rows), 1000):
            lengths += map(len, tokenize_prompts(rows[start : start + 1000]["prompt"], tokenizer))
        too_long = sum(length > max_prompt_length for length in lengths)
        if too_long:
            index = max(range(len(lengths)), key=lengths.__getitem__)
            number = rows["row"][index] if "row" in rows.column_names else index + 1
            raise UserError(
                f"{too_long} of {len(lengths)} {part} prompts of {task.name} are longer than {max_prompt_length} "
                f"tokens, the longest has {lengths[index]} (row {number}): raise --max_prompt_length or remove them"
            )
