"""Texts to be scored: a file with a prompt and a response per row, and what is known of the answer."""

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from htpo.errors import UserError
from htpo.evaluate import EvaluationDirectory
from htpo.runs.rollouts import OF_EPISODES

SUFFIXES = (".jsonl", ".parquet")
TRUE, FALSE = (True, 1), (False, 0)


def read_texts(path: Path) -> list[dict[str, Any]]:
    """Rows with `prompt` (text or chat messages), `response`, `correct` (or None) and `group_accuracy` (or None).

    Where a file says which responses are correct but not how often a prompt is solved, `group_accuracy` is the share of
    correct ones among the file's responses to the prompt, if there are at least two and each is judged.

    Raises:
        UserError: the file cannot be read, or a row cannot be used.
    """
    rows = [_row(f"{path}, row {number}", row) for number, row in enumerate(_read(path), start=1)]
    if not rows:
        raise UserError(f"{path} holds no rows: give it lines with prompt and response")
    _add_accuracies(rows)
    return rows


def read_samples(evaluation: EvaluationDirectory, task: str) -> list[dict[str, Any]]:
    """The samples of an evaluation as such rows, but for empty responses, which have no tokens.

    Episodes have `written` and what else is stored of them, too, and their turns after each other as `response`.

    Raises:
        UserError: a file cannot be read, or episodes were messages, of which a server alone knows the tokens.
    """
    config = evaluation.run.config
    chat = config.get("backend") == "server" and config.get("chat") is not False
    stored = [row for rows in evaluation.store(task).rows() for row in rows]
    if chat and any(row["written"] is not None for row in stored):
        raise UserError(f"the episodes of {task} went to a server as messages, and are not scored: leave --model out")
    rows = [_of_episode(row) if row["written"] is not None else _of_answer(row, chat=chat) for row in stored]
    _add_accuracies(rows)
    return [row for row in rows if row["response"]]


def _of_answer(row: dict[str, Any], *, chat: bool) -> dict[str, Any]:
    prompt = json.loads(row["prompt"]) if chat else row["prompt"]
    return {"prompt": prompt, "response": row["response"], "correct": row["correct"], "group_accuracy": None}


def _of_episode(row: dict[str, Any]) -> dict[str, Any]:
    of_it = {name: row[name] for name in ("prompt", "correct", "failure", "written", *OF_EPISODES)}
    return {**of_it, "response": "".join(row["written"]), "group_accuracy": None}


def _add_accuracies(rows: list[dict[str, Any]]) -> None:
    by_prompt = defaultdict(list)
    for row in rows:
        by_prompt[json.dumps(row["prompt"])].append(row)
    for same in by_prompt.values():
        verdicts = [row["correct"] for row in same]
        if len(same) > 1 and None not in verdicts:
            accuracy = sum(verdicts) / len(verdicts)
            for row in same:
                row["group_accuracy"] = accuracy if row["group_accuracy"] is None else row["group_accuracy"]


def _read(path: Path) -> list[Any]:
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path).to_pylist()
        lines = path.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines if line.strip()]
    except (OSError, pa.ArrowInvalid, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"cannot read {path} ({reason}): needs .jsonl or .parquet with prompt and response") from error


def _row(where: str, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise UserError(f"{where} is {type(row).__name__}: needs an object with prompt and response")
    prompt, response = row.get("prompt"), row.get("response")
    if not isinstance(response, str) or not response:
        raise UserError(f"{where}: response is {response!r}, needs text")
    if any(0xD800 <= ord(character) < 0xE000 for character in response + json.dumps(prompt, ensure_ascii=False)):
        raise UserError(f"{where}: holds half of a character (an unpaired surrogate): remove it")
    if not (isinstance(prompt, str) or _is_chat(prompt)):
        raise UserError(f"{where}: prompt is {prompt!r}, needs text or chat messages")
    correct, accuracy = row.get("correct"), row.get("group_accuracy")
    if correct is not None and correct not in TRUE + FALSE:
        raise UserError(f"{where}: correct is {correct!r}, needs true or false")
    if accuracy is not None and not _is_share(accuracy):
        raise UserError(f"{where}: group_accuracy is {accuracy!r}, needs a number from 0 to 1")
    correct = None if correct is None else correct in TRUE
    return {"prompt": prompt, "response": response, "correct": correct, "group_accuracy": accuracy}


def _is_chat(prompt: Any) -> bool:
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and all(isinstance(m, dict) and isinstance(m.get("content"), str) and "role" in m for m in prompt)
    )


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and 0 <= value <= 1
