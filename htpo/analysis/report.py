"""`analyze`: everything that can be drawn and said of runs, a study, evaluations, or texts, written to one folder."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from htpo.analysis.findings import Findings, markdown
from htpo.analysis.left_out import LeftOut
from htpo.analysis.logic_words import LogicWords
from htpo.analysis.responses_page import responses_page
from htpo.analysis.sources import Series, Source
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import TokenTable, read_runs
from htpo.errors import UserError
from htpo.evaluate.directory import folder_name
from htpo.figures.catalogue import OF_EVALUATIONS, OF_SERIES, OF_TOKENS, Entry, Shown, drawn
from htpo.figures.drawing import Drawing
from htpo.figures.pass_at_k import Evaluations
from htpo.runs import write_atomically, write_json, writing

PICTURE_SUFFIXES = (".png", ".svg", ".csv")
PAGE = "responses.html"


@dataclass(frozen=True)
class LeftOutFigure:
    """A figure that was not drawn."""

    name: str
    label: str  # of the task or series it would have shown; empty where there is one
    why: str


@dataclass
class Report:
    """What was written, what could not be, and what was found."""

    folder: Path
    written: list[Path] = field(default_factory=list)
    left_out: list[LeftOutFigure] = field(default_factory=list)
    findings: dict[str, Findings] = field(default_factory=dict)  # by series

    def left_out_lines(self) -> list[str]:
        """A line per figure and reason, with the series it holds for where there are several."""
        labels: dict[tuple[str, str], list[str]] = {}
        for one in self.left_out:
            labels.setdefault((one.name, one.why), []).append(one.label)
        several = len(self.findings) > 1
        return [
            f"{name}{' of ' + ', '.join(known) if several and any(known) else ''}: {why}"
            for (name, why), known in labels.items()
        ]


def analyze_runs(source: Source, folder: Path, logic_words: LogicWords, min_count: int) -> Report:
    """Analyse runs or a study.

    With several tasks, each has a folder of its own; with several series, each has a folder for its tokens.

    Raises:
        UserError: the folder cannot be written.
    """
    report = Report(folder)
    with writing(folder):
        for task, series in source.tasks.items():
            several = task if len(source.tasks) > 1 else ""
            place = folder / several
            title = task or ", ".join(one.label for one in series)
            _draw_all(report, place, OF_SERIES, series, title, several)
            for one in series:
                own = place / one.label.replace("/", "-") if len(series) > 1 else place
                label = " / ".join(filter(None, [several, one.label]))
                _tokens_of(report, own, one, label, logic_words, min_count)
        _finish(report, source.path.name)
    return report


def analyze_texts(table: TokenTable, title: str, folder: Path, logic_words: LogicWords, min_count: int) -> Report:
    """Analyse scored texts.

    Raises:
        UserError: the folder cannot be written.
    """
    report = Report(folder)
    with writing(folder):
        report.left_out.append(LeftOutFigure("training over time", "", "texts have no updates: give a run"))
        _analyze_tokens(report, folder, table, title, title, logic_words, min_count)
        _finish(report, title)
    return report


def analyze_evaluations(
    evaluations: Evaluations,
    scored: Mapping[str, TokenTable],
    folder: Path,
    logic_words: LogicWords,
    min_count: int,
    scorer: str,
) -> Report:
    """Analyse evaluations: pass@k of all on one axis, and the tokens of samples that were scored.

    Args:
        scored: token tables by task; with several tasks each has a folder for its tokens.
        scorer: what scored them, for titles.

    Raises:
        UserError: the folder cannot be written.
    """
    report = Report(folder)
    title = ", ".join(evaluations)
    with writing(folder):
        _draw_all(report, folder, OF_EVALUATIONS, evaluations, title, "")
        for task, table in scored.items():
            place = folder / folder_name(task) if len(scored) > 1 else folder
            _analyze_tokens(report, place, table, task, f"{title}, {task} {scorer}", logic_words, min_count)
        if not scored:
            why = "samples have no entropies: say which --model scores them"
            report.left_out.append(LeftOutFigure("tokens", "", why))
        _finish(report, title)
    return report


def _tokens_of(
    report: Report, folder: Path, series: Series, label: str, logic_words: LogicWords, min_count: int
) -> None:
    try:
        table = read_runs(series.runs)
    except UserError as error:
        report.left_out.append(LeftOutFigure("tokens", label, str(error)))
        return
    _analyze_tokens(report, folder, table, label, series.counted, logic_words, min_count)


def _analyze_tokens(
    report: Report, folder: Path, table: TokenTable, label: str, title: str, logic_words: LogicWords, min_count: int
) -> None:
    tokens = TokenAnalysis(table, logic_words, min_count)
    report.findings[label] = tokens.findings
    _draw_all(report, folder, OF_TOKENS, tokens, title, label)
    with suppress(LeftOut):  # for the reason that is given for the picture
        write_atomically(folder / PAGE, responses_page(tokens, title))
        report.written.append(folder / PAGE)


def _draw_all(
    report: Report, folder: Path, entries: Sequence[Entry[Shown]], shown: Shown, title: str, label: str
) -> None:
    for entry, drawing in drawn(entries, shown, title):
        if isinstance(drawing, Drawing):
            report.written.append(drawing.save(folder, entry.name))
            continue
        report.left_out.append(LeftOutFigure(entry.name, label, drawing))
        for suffix in PICTURE_SUFFIXES:
            (folder / f"{entry.name}{suffix}").unlink(missing_ok=True)  # of an earlier analysis


def _finish(report: Report, title: str) -> None:
    report.folder.mkdir(parents=True, exist_ok=True)
    write_json(
        report.folder / "findings.json",
        {"series": report.findings, "left_out": [asdict(one) for one in report.left_out]},
    )
    write_atomically(report.folder / "findings.md", markdown(report.findings, report.left_out_lines(), title))
    report.written += [report.folder / "findings.json", report.folder / "findings.md"]
