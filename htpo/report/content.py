"""What the page says: of one run, of several, or of a study."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from htpo.analysis.findings import plain_words
from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.subject import Series, Subject
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import TokenTable, read_runs
from htpo.errors import UserError
from htpo.figures.catalogue import OF_SERIES, OF_TOKENS, Entry, Shown
from htpo.report import tables
from htpo.report.concerns import Concern, concerns
from htpo.report.figures import PageFigure, page_figures
from htpo.report.rollouts import rollouts_for_browser
from htpo.report.tables import Table
from htpo.runs import RunRecord
from htpo.statistics import change_in_words, number_text
from htpo.study import tables as study_tables

MIN_COUNT = 10  # rarer tokens are not ranked by mean entropy


@dataclass(frozen=True)
class Card:
    """A number that is seen first."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Objective:
    """An objective in force, and the runs that had it."""

    name: str
    sentence: str
    table: Table
    options: str
    runs: list[str]


@dataclass
class Part:
    """The results of one task."""

    title: str
    tables: list[Table] = field(default_factory=list)
    figures: list[PageFigure] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)  # what, and why

    def draw(self, entries: Sequence[Entry[Shown]], shown: Shown, title: str) -> None:
        """Add the figures that can be drawn."""
        for one in page_figures(entries, shown, title):
            if isinstance(one, PageFigure):
                self.figures.append(one)
            else:
                self.left_out.append(one)


@dataclass
class Content:
    """Everything on the page."""

    title: str
    kind: str  # run, runs or study
    summary: list[str]
    cards: list[Card]
    concerns: list[tuple[Concern, list[tuple[str, str]]]]  # with the runs it was found in, and their numbers
    passed: list[str]  # checks that found nothing in any run
    unknown: dict[str, list[str]]  # why some could not be made in any run, and which
    plan: Table | None
    examples: Table | None
    objectives: list[Objective]
    parts: list[Part]
    findings: list[str]
    vocabulary: list[Table]
    rollouts: dict[str, Any]
    settings: list[Table]


def of_runs(series: Sequence[Series]) -> Content:
    """Of a run, or of several beside each other."""
    runs = [one.runs[0] for one in series]
    title = ", ".join(run.label for run in runs)
    part = Part("")
    token_tables, why_not = _token_tables(series)
    findings: dict[str, Any] = {}
    part.draw(OF_SERIES, series, title)
    if len(runs) == 1:
        held_out = tables.held_out_table(runs[0])
        part.tables = [*([held_out] if held_out else []), tables.training_table(runs[0])]
        for table in token_tables.values():
            tokens = TokenAnalysis(table, read_logic_words(), MIN_COUNT)
            part.draw(OF_TOKENS, tokens, title)
            findings = tokens.findings
    else:
        part.tables = [tables.runs_table(runs), tables.differences_table(runs)]
    part.left_out += [("Tokens", why) for why in why_not]
    part.left_out = [(what, why) for what, why in part.left_out if "`only: GROUP`" not in why]
    return Content(
        title=title,
        kind="run" if len(runs) == 1 else "runs",
        summary=_verdicts(runs[0]) if len(runs) == 1 else [],
        cards=_cards(runs[0]) if len(runs) == 1 else [],
        **_concerns(runs),
        plan=_plan(runs),
        examples=tables.example_table(runs[0]),
        objectives=_objectives(runs),
        parts=[part],
        findings=plain_words(findings) if findings else [],
        vocabulary=tables.vocabulary_tables(findings),
        rollouts=rollouts_for_browser(token_tables),
        settings=[tables.config_table(runs), tables.versions_table(runs)],
    )


def of_study(subject: Subject, results: dict[str, Any]) -> Content:
    """Of a study.

    Args:
        results: as `results.json` holds them.
    """
    parts, token_tables, runs = [], {}, []
    for task, series in subject.tasks.items():
        part = Part(task if len(subject.tasks) > 1 else "")
        found = results["tasks"].get(task)
        if found is not None:
            titles = ("pass@k after training", "Differences between methods", "In training")
            rows = (study_tables.pass_table, study_tables.difference_table, study_tables.measure_table)
            part.tables = [Table(title, *table(found)) for title, table in zip(titles, rows)]
        part.draw(OF_SERIES, series, task)
        parts.append(part)
        prefix = f"{task} / " if len(subject.tasks) > 1 else ""
        for one in series:
            labelled = [replace(run, label=f"{prefix}{one.label} / {run.label}") for run in one.runs]
            runs += labelled
            token_tables |= _token_tables([Series(run.label, (run,)) for run in labelled])[0]
    return Content(
        title=subject.path.name,
        kind="study",
        summary=study_tables.plain_words(results),
        cards=[],
        **_concerns(runs),
        plan=None,
        examples=tables.example_table(runs[0]),
        objectives=_objectives(runs),
        parts=parts,
        findings=[],
        vocabulary=[],
        rollouts=rollouts_for_browser(token_tables),
        settings=[_study_table(results), tables.versions_table(runs[:1])],
    )


def study_results(path: Path) -> dict[str, Any]:
    """What `htpo study` found.

    Raises:
        UserError: it has not written any results, or they cannot be read.
    """
    file = path / "results.json"
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{file} is missing: `htpo study ... --report-only` writes it") from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {' '.join(str(error).split())}") from error
    if any("value" not in rate for task in results["tasks"].values() for rate in task["before"].values()):
        raise UserError(f"{file} is by an earlier version: `htpo study ... --report-only` writes it anew")
    return results


def _token_tables(series: Sequence[Series]) -> tuple[dict[str, TokenTable], list[str]]:
    """By label the tokens of the runs that kept rollouts, and of the others why there are none."""
    found, why_not = {}, []
    for one in series:
        try:
            found[one.label] = read_runs(one.runs)
        except UserError as error:
            why_not.append(str(error))
    return found, why_not


def _verdicts(run: RunRecord) -> list[str]:
    lines = []
    for k in sorted({1, run.after.samples} if run.after and run.before else set()):
        what = "how often a single answer is right" if k == 1 else f"the share solved in at least one of {k} attempts"
        said = change_in_words(f"pass@{k}", run.held_out_change(k).to_json())
        before, after = (rates.pass_at(k) for rates in (run.before, run.after))
        lines.append(f"On held-out problems {said}. It is {what}: {before:.3f} before training, {after:.3f} after.")
    return lines


def _cards(run: RunRecord) -> list[Card]:
    cards = []
    for k in sorted({1, run.after.samples} if run.after and run.before else set()):
        before, after = (rates.estimate(k) for rates in (run.before, run.after))
        cards.append(Card(f"pass@{k}", f"{before.value:.3f} → {after.value:.3f}", f"now {tables.cell(after)}"))
    for name, label in {"accuracy": "accuracy in training", "entropy": "entropy, nats per token"}.items():
        if run.logged(name):
            start, end = (number_text(mean, ".3f") for mean in (run.at_start(name), run.at_end(name)))
            detail = "first and last tenth of the updates" if len(run.updates) > 1 else "at the only update"
            cards.append(Card(label, f"{start} → {end}" if len(run.updates) > 1 else end, detail))
    seconds = (run.summary or {}).get("seconds")
    updates = str(run.updates[-1]["step"] if run.updates else 0)
    cards.append(Card("updates", updates, f"in {_duration(seconds)}" if seconds else "not finished"))
    return cards


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def _concerns(runs: Sequence[RunRecord]) -> dict[str, Any]:
    """Concerns of the same check together, the checks that all runs passed, and those that could be made of none."""
    found: dict[str, tuple[Concern, list[tuple[str, str]]]] = {}
    passed: dict[str, int] = {}
    unknown: dict[tuple[str, str], int] = {}
    for run in runs:
        checked = concerns(run)
        for name in checked.passed:
            passed[name] = passed.get(name, 0) + 1
        for name, why in checked.unknown.items():
            unknown[why, name] = unknown.get((why, name), 0) + 1
        for name, concern in checked.raised.items():
            found.setdefault(name, (concern, []))[1].append((run.label, f"{concern.title}. {concern.evidence}"))
    by_reason: dict[str, list[str]] = {}
    for (why, name), times in unknown.items():
        if times == len(runs):
            by_reason.setdefault(why, []).append(name)
    return {
        "concerns": list(found.values()),
        "passed": [name for name, times in passed.items() if times == len(runs)],
        "unknown": by_reason,
    }


def _plan(runs: Sequence[RunRecord]) -> Table | None:
    names = dict.fromkeys(name for run in runs for name in run.plan)
    if not names:
        return None
    columns = ["", *(run.label for run in runs)] if len(runs) > 1 else ["", ""]
    return Table("", columns, [[name, *(run.plan.get(name, "") for run in runs)] for name in names])


def _objectives(runs: Sequence[RunRecord]) -> list[Objective]:
    alike: dict[str, list[RunRecord]] = {}
    for run in runs:
        if run.objective.groups:
            alike.setdefault(repr(run.objective), []).append(run)
    return [
        Objective(
            name=str(same[0].objective.name),
            sentence=same[0].objective.summary,
            table=tables.objective_table(same[0]),
            options=_listed(same[0].objective.options),
            runs=[run.label for run in same] if len(runs) > 1 else [],
        )
        for same in alike.values()
    ]


def _listed(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)


def _study_table(results: dict[str, Any]) -> Table:
    """Options of every method, which stand over those of the study's recipe."""
    rows = [
        [f"{task} / {method}", _listed(options)]
        for method, by_task in results["methods"].items()
        for task, options in by_task.items()
    ]
    seeds = ", ".join(map(str, results["seeds"]))
    return Table("Options", ["task / method", f"over those of recipe {results['recipe']}; seeds {seeds}"], rows)
