"""What the page says: of one run, of several, or of a study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from htpo.analysis.findings import plain_words
from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.subject import Series, Subject
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import TokenTable, read_runs
from htpo.errors import UserError
from htpo.figures.catalogue import OF_SERIES, OF_TOKENS, Entry, Shown
from htpo.report import tables
from htpo.report.concerns import Together
from htpo.report.figures import PageFigure, page_figures
from htpo.report.rollouts import rollouts_for_browser
from htpo.report.tables import PageTable
from htpo.runs import RunRecord, options_in_words
from htpo.statistics import change_in_words, number_text
from htpo.study import plain_words as study_in_words

MIN_COUNT = 10  # rarer tokens are not ranked by mean entropy


@dataclass(frozen=True)
class Card:
    """A number that is seen first."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class PageObjective:
    """An objective in force, and the runs that had it."""

    name: str
    sentence: str
    table: PageTable
    options: str
    runs: list[str]


@dataclass
class Part:
    """The results of one task."""

    title: str
    tables: list[PageTable] = field(default_factory=list)
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
    kind: str  # run, runs, study or evaluation
    parts: list[Part]
    checks: Together | None  # None: nothing was trained
    examples: PageTable | None
    objectives: list[PageObjective]
    rollouts: dict[str, Any]
    settings: list[PageTable]
    summary: list[str] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    plan: PageTable | None = None
    findings: list[str] = field(default_factory=list)  # of tokens
    vocabulary: list[PageTable] = field(default_factory=list)


def of_runs(series: Sequence[Series]) -> Content:
    """Of a run, or of several beside each other."""
    runs = [one.runs[0] for one in series]
    title = ", ".join(run.label for run in runs)
    token_tables, why_not = _token_tables(series)
    part = Part("", [tables.runs_table(runs), tables.differences_table(runs)] if len(runs) > 1 else [])
    of_methods = any(one.only for one in series)
    part.draw([one for one in OF_SERIES if one.name != "one-group-alone" or of_methods], series, title)
    content = Content(
        title=title,
        kind="run" if len(runs) == 1 else "runs",
        parts=[part],
        checks=Together.of(runs),
        plan=tables.plan_table(runs),
        examples=tables.example_table(runs[0]),
        objectives=_objectives(runs),
        rollouts=rollouts_for_browser(token_tables),
        settings=[tables.config_table(runs), tables.versions_table(runs)],
    )
    if len(runs) == 1:
        _add_details(content, part, runs[0], token_tables)
    part.left_out += [("Tokens", why) for why in why_not]
    return content


def _add_details(content: Content, part: Part, run: RunRecord, token_tables: Mapping[str, TokenTable]) -> None:
    """What is only said of a single run."""
    content.summary, content.cards = _verdicts(run), _cards(run)
    part.tables = [table for table in (tables.held_out_table(run), tables.training_table(run)) if table]
    for table in token_tables.values():
        tokens = TokenAnalysis(table, read_logic_words(), MIN_COUNT)
        part.draw(OF_TOKENS, tokens, content.title)
        findings = tokens.findings
        content.findings, content.vocabulary = plain_words(findings), tables.vocabulary_tables(findings)


def of_study(subject: Subject, results: dict[str, Any]) -> Content:
    """Of a study.

    Args:
        results: as `results.json` holds them.
    """
    parts, token_tables, runs = [], {}, []
    for task, series in subject.tasks.items():
        several = f"{task} / " if len(subject.tasks) > 1 else ""
        part = Part(task if several else "", tables.study_tables(results["tasks"].get(task)))
        part.draw(OF_SERIES, series, task)
        parts.append(part)
        for one in series:
            labelled = [replace(run, label=f"{several}{one.label} / {run.label}") for run in one.runs]
            runs += labelled
            token_tables |= _token_tables([Series(run.label, (run,)) for run in labelled])[0]
    return Content(
        title=subject.path.name,
        kind="study",
        parts=parts,
        checks=Together.of(runs),
        summary=study_in_words(results),
        examples=tables.example_table(runs[0]),
        objectives=_objectives(runs),
        rollouts=rollouts_for_browser(token_tables),
        settings=[tables.study_options_table(results), tables.versions_table(runs[:1])],
    )


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


def _objectives(runs: Sequence[RunRecord]) -> list[PageObjective]:
    alike: dict[str, list[RunRecord]] = {}
    for run in runs:
        if run.objective.groups:
            alike.setdefault(repr(run.objective), []).append(run)
    return [
        PageObjective(
            name=str(same[0].objective.name),
            sentence=same[0].objective.summary,
            table=tables.objective_table(same[0]),
            options=options_in_words(same[0].objective.options),
            runs=[run.label for run in same] if len(runs) > 1 else [],
        )
        for same in alike.values()
    ]
