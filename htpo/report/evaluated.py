"""What the page says of an evaluation: its measures, and its samples."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from htpo.analysis.examples import judgement_lines, shown_turns
from htpo.evaluate import EvaluationDirectory
from htpo.evaluate.results import TAUS, TaskSamples, measures
from htpo.evaluate.tables import result_tables
from htpo.figures.catalogue import OF_EVALUATIONS
from htpo.report.content import Content, Part
from htpo.report.rollouts import CHARACTERS, as_turns, page_size, within_page, without_tokens
from htpo.report.tables import PageTable, evaluation_settings

MOST_SAMPLES = 2000  # of which as many are shown as the page has room for
LONGEST_TEXT = 8000  # characters of a prompt or of what was written in one go


def of_evaluation(evaluation: EvaluationDirectory) -> Content:
    """Of a finished evaluation.

    Raises:
        UserError: samples are missing.
    """
    samples, config, title = evaluation.samples(), evaluation.run.config, evaluation.path.name
    results = {name: measures(found, config.get("g_pass_tau", TAUS)) for name, found in samples.items()}
    part = Part("", [PageTable("", header, rows) for (header, rows), _ in result_tables(results)])
    part.draw(OF_EVALUATIONS, {title: samples}, title)
    legend = "In brackets: 95 % intervals for other problems of the same kind."
    described = [task["description"] for task in evaluation.tasks.values()]
    return Content(
        title=title,
        kind="evaluation",
        parts=[part],
        checks=None,
        examples=None,
        objectives=[],
        rollouts=samples_for_browser(evaluation, samples),
        settings=evaluation_settings(config, evaluation.run.read_json("versions.json") or {}),
        summary=[f"{config['model']}, {config['samples']} samples of every problem", *described, legend],
    )


def samples_for_browser(evaluation: EvaluationDirectory, samples: Mapping[str, TaskSamples]) -> dict[str, Any]:
    """Samples as rollouts without numbers of tokens, chosen at random as evenly as can be over tasks and verdicts."""
    order = _in_turn(samples)[:MOST_SAMPLES]
    place = {key: number for number, key in enumerate(order)}
    chosen: list[dict[str, Any]] = [{}] * len(order)
    for task, found in samples.items():
        accuracy = dict(zip(found.numbers, found.correct.mean(1).tolist()))
        for rows in evaluation.store(task).rows():
            for row in rows:
                key = (task, row["problem"], row["sample"])
                if key in place:
                    chosen[place[key]] = _rollout(task, row, accuracy[row["problem"]])
    shown = within_page(chosen)
    shown.sort(key=lambda one: (list(samples).index(one["run"]), *one["number"]))
    kept = sum(found.correct.size for found in samples.values())
    return without_tokens(shown, kept, list(samples))


def _in_turn(samples: Mapping[str, TaskSamples]) -> list[tuple[str, int, int]]:
    """Task, problem and sample of all: one of each task and verdict, then the next of each."""
    draw = np.random.default_rng(0)
    waiting: dict[tuple[str, bool], list[tuple[str, int, int]]] = defaultdict(list)
    for task, found in samples.items():
        for flat in draw.permutation(found.correct.size).tolist():
            problem, sample = divmod(flat, found.samples)
            right = bool(found.correct[problem, sample])
            waiting[task, right].append((task, found.numbers[problem], sample + 1))
    longest = max(map(len, waiting.values()))
    return [queue[turn] for turn in range(longest) for queue in waiting.values() if turn < len(queue)]


def _rollout(task: str, row: dict[str, Any], accuracy: float) -> dict[str, Any]:
    played = row["turn_tokens"] is not None
    if played and row["last_shown"] is not None:
        row = row | {"shown": [*row["shown"], row["last_shown"]]}
    turns = shown_turns(row)
    written = [_cut(text) for text in (row["written"] if played else [row["response"]])]
    size = page_size(sum(map(len, [row["prompt"], *written])) // CHARACTERS, turns)
    return {
        "run": task,
        "number": [row["problem"], row["sample"]],
        "update": None,
        "prompt": _cut(row["prompt"]),
        "judged": judgement_lines(row | {"gold": None}),
        "correct": row["correct"],
        "accuracy": round(accuracy, 3),
        "advantage": None,
        "length": row["tokens"],
        "size": size,
        "turns": as_turns(turns),
        "written": written,
    }


def _cut(text: str) -> str:
    left = len(text) - LONGEST_TEXT
    return text if left <= 0 else f"{text[:LONGEST_TEXT]}\n[... {left:,} characters ...]"
