"""Tasks of an environment as rows of data, and its options."""

import json
from collections.abc import Sequence
from typing import Any

from datasets import Dataset

from htpo.environments import EnvironmentLabel, EnvironmentWorkers
from htpo.errors import UserError

TASK = "environment_row"
"""Column of the data that holds a task as the environment takes it, as JSON."""


def refuse_unplayable(label: str, worlds: EnvironmentWorkers, rows: Sequence[dict[str, Any]]) -> None:
    """Raise `UserError` where there are no tasks, or an environment of the user's own fails when it is tried."""
    if not rows:
        raise UserError(f"{label} has no tasks")
    if EnvironmentLabel.parse(label).own:
        worlds.try_on(rows[0])


def tasks_as_dataset(rows: Sequence[dict[str, Any]]) -> Dataset:
    """Rows with `prompt` (the task in words, for people), a `TASK`, `task_type` and `row`, from 1."""
    return Dataset.from_dict(
        {
            "prompt": [str(row.get("task") or row["id"]) for row in rows],
            TASK: [json.dumps(row) for row in rows],
            "task_type": [str(row["task_type"]) for row in rows],
            "row": list(range(1, len(rows) + 1)),
        }
    )


def environment_options(text: str | None) -> dict[str, Any]:
    """An environment's own options, from the option `dataset_config`. Raises `UserError` where it is no JSON object."""
    try:
        own = json.loads(text or "{}")
    except ValueError:
        own = None
    if not isinstance(own, dict):
        raise UserError(f"dataset_config is {text!r}, needs the environment's options as JSON: '{{\"rooms\": 2}}'")
    return own
