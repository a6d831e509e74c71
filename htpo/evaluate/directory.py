"""`EvaluationDirectory`: where everything about one evaluation lies.

config.yaml, versions.json   the options that decide what is measured, and what it ran on
tasks.json                   the tasks: how many problems, what judges them, a hash of what they say
samples/TASK/*.parquet       every response with its verdict
results.json, results.md     the measures, once all samples are there
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from htpo.errors import UserError
from htpo.evaluate.collection import digest
from htpo.evaluate.results import TAUS, TaskSamples, measures
from htpo.evaluate.samples import SampleStore
from htpo.evaluate.tables import result_tables
from htpo.markdown import markdown_table
from htpo.runs import RunDirectory, write_atomically, writing
from htpo.tasks.task import Problems

TASKS = "tasks.json"
LEGEND = """
Means over problems with 95 % intervals for other problems of the same kind (docs/statistics.md). avg@n is the share of
right samples, pass@n of problems with a right one among n, maj@n of problems whose most frequent answer is right;
G-Pass@k tau is the chance that a share tau of k samples is right, mG-Pass@k its mean over tau from 0.5 to 1; "cut off"
at the token limit, "no answer" that the verifier could read; "length" is the mean in tokens. `results.json` has pass@k
for every k; docs/evaluate.md explains all of it.
"""
OF_EPISODES = """
Of an environment a sample is an episode: "success" is avg@n, "steps" its actions, "invalid" those of them that were
none or not possible; "step limit" is the share that ended for its number of actions, "given up" of those whose task
and last turn alone outgrew --max_tokens or the model's context. In `results.json`, `cut_off` is the share of turns that
came to --max_turn_length before the model ended them, and `shortened` that of episodes of which it was no longer shown
the oldest turns.
"""


class EvaluationDirectory:
    """One evaluation's files. Constructing it touches nothing."""

    def __init__(self, path: Path | str):
        self.run = RunDirectory(path)

    @property
    def path(self) -> Path:
        """The folder."""
        return self.run.path

    def begin(self, config: dict[str, Any], tasks: Sequence[Problems]) -> None:
        """Write what is measured and on what. Raises `UserError` unless the folder is free."""
        self.run.create(config)
        with writing(self.path):
            self.run.write_json(TASKS, _described(tasks))

    def check_resumable(self, config: dict[str, Any], tasks: Sequence[Problems]) -> None:
        """Raise `UserError` unless an evaluation with these options and problems was begun here."""
        self.run.check_resumable(config)
        stored, now = self.tasks, _described(tasks)
        changed = [name for name in now if stored.get(name, {}).get("digest") != now[name]["digest"]]
        if changed:
            raise UserError(
                f"the problems of {', '.join(changed)} are not those that {self.path} was begun with: give the same "
                "data, or start anew"
            )

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        """By name: `problems` (how many), `description`, `digest`."""
        tasks = self.run.read_json(TASKS)
        if tasks is None:
            raise UserError(f"{self.path} is not the directory of an evaluation: it has no {TASKS}")
        return tasks

    def store(self, task: str) -> SampleStore:
        """The samples of a task."""
        return SampleStore(self.path / "samples" / folder_name(task))

    def stored(self) -> int:
        """How many samples there are."""
        return sum(len(self.store(name).done()) for name in self.tasks)

    def wanted(self) -> int:
        """How many samples there will be."""
        problems: int = sum(task["problems"] for task in self.tasks.values())
        return problems * int(self.run.config["samples"])

    def samples(self) -> dict[str, TaskSamples]:
        """The judged samples by task.

        Raises:
            UserError: some are missing.
        """
        tables = {name: self.store(name).measured() for name in self.tasks}
        for name, table in tables.items():
            wanted = self.run.config["samples"] * self.tasks[name]["problems"]
            judged = table.num_rows - table["correct"].null_count
            if judged != wanted:
                raise UserError(
                    f"{self.path} is not finished: {judged} of {wanted} samples of {name} are there; go on with "
                    f"htpo eval --resume --output_dir {self.path}"
                )
        return {name: TaskSamples.from_table(table) for name, table in tables.items()}

    def write_results(self, samples: dict[str, TaskSamples], notes: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Write `results.json` and `results.md`; the measures by task.

        Args:
            samples: by task.
            notes: further entries of `results.json`.
        """
        taus = self.run.config.get("g_pass_tau", TAUS)
        results = {name: measures(found, taus) for name, found in samples.items()}
        self.run.write_json("results.json", {"tasks": results, **notes})
        described = "".join(f"- {task['description']}\n" for task in self.tasks.values())
        tables = "\n".join(markdown_table(*table) for table, _ in result_tables(results))
        legend = LEGEND + (OF_EPISODES if any(found["episodes"] for found in results.values()) else "")
        text = f"# {self.run.config['model']}\n\n{tables}{legend}\n{described}"
        write_atomically(self.path / "results.md", text)
        return results


def folder_name(task: str) -> str:
    """A task's name as a folder has it."""
    return re.sub(r"[^\w.+-]+", "_", task)


def check_names(tasks: Sequence[Problems]) -> None:
    """Raise `UserError` when two tasks would lie in the same folder."""
    folders: dict[str, str] = {}
    for task in tasks:
        if folder_name(task.name) in folders:
            raise UserError(f"two tasks are called {task.name!r}: rename a file, or evaluate them one after the other")
        folders[folder_name(task.name)] = task.name


def _described(tasks: Sequence[Problems]) -> dict[str, dict[str, Any]]:
    return {
        task.name: {"problems": len(task.rows), "description": task.description, "digest": digest(task)}
        for task in tasks
    }
