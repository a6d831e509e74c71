"""`analyze`: everything that can be drawn and said of runs, a study, or texts, written to one folder."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from htpo.analysis.bootstrap import Bootstrap
from htpo.analysis.drawing import Drawing, LeftOut, save_figure
from htpo.analysis.dynamics import draw_dynamics, draw_entropy_by_group, draw_one_group_alone
from htpo.analysis.examples import choose_examples
from htpo.analysis.findings import Findings, markdown
from htpo.analysis.forking_entropy import draw_forking_entropies, forking_entropies
from htpo.analysis.gradient_sources import draw_gradient_sources, gradient_sources, overall
from htpo.analysis.logic_share import draw_logic_shares, logic_shares
from htpo.analysis.logic_words import LogicWords, WordTable
from htpo.analysis.pass_curves import draw_pass_at_k
from htpo.analysis.responses_page import responses_page
from htpo.analysis.responses_picture import draw_responses
from htpo.analysis.sources import Series, Source
from htpo.analysis.tokens import TokenTable, read_runs
from htpo.analysis.vocabulary import draw_word_clouds, token_vocabulary
from htpo.errors import UserError
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
            _compare(report, place, several, series, source.reference, title)
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


def _compare(
    report: Report, folder: Path, label: str, series: Sequence[Series], reference: str | None, title: str
) -> None:
    for name, draw in {
        "training-dynamics": partial(draw_dynamics, series, f"{title}: training dynamics"),
        "entropy-by-group": partial(draw_entropy_by_group, series, f"{title}: entropy by group"),
        "one-group-alone": partial(draw_one_group_alone, series, reference, f"{title}: one group's objective alone"),
        "pass-at-k": partial(draw_pass_at_k, series, f"{title}: held-out pass@k"),
    }.items():
        _write(report, folder, name, draw, label)


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
    bootstrap = Bootstrap(table.responses)
    found: Findings = {
        "responses": len(table.responses),
        "tokens": len(table.tokens),
        "intervals": bootstrap.described,
        "groups": table.groups,
    }
    report.findings[label] = found

    def clouds() -> Drawing:
        vocabulary = token_vocabulary(table, min_count)
        found["vocabulary"] = {end: getattr(vocabulary, end).to_dict("records") for end in ("highest", "lowest")}
        return draw_word_clouds(vocabulary, f"{title}: tokens of highest and lowest mean entropy")

    def logic() -> Drawing:
        found["logic_words"] = logic_shares(table, WordTable(table, logic_words), bootstrap)
        return draw_logic_shares(found["logic_words"], bootstrap, f"{title}: logic words by token entropy")

    def forking() -> Drawing:
        found["forking_entropy"] = forking_entropies(table, bootstrap)
        return draw_forking_entropies(found["forking_entropy"], bootstrap, f"{title}: entropy of high-entropy tokens")

    def sources() -> Drawing:
        shares = gradient_sources(table)
        found["gradient_sources"] = overall(shares)
        return draw_gradient_sources(shares, table, f"{title}: where the gradient comes from")

    def responses() -> Drawing:
        examples = choose_examples(table)
        heading = f"{title}: responses, token by token"
        page = responses_page(examples, table.groups, table.grouped_in_training, heading)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / PAGE, page)
        report.written.append(folder / PAGE)
        return draw_responses(examples, table.groups, heading)

    for name, draw in {
        "word-clouds": clouds,
        "logic-words": logic,
        "forking-entropy": forking,
        "gradient-sources": sources,
        "responses": responses,
    }.items():
        _write(report, folder, name, draw, label)


def _write(report: Report, folder: Path, name: str, draw: Callable[[], Drawing], label: str) -> None:
    path = folder / f"{name}.png"
    try:
        drawing = draw()
    except LeftOut as reason:
        report.left_out.append(LeftOutFigure(name, label, str(reason)))
        for suffix in PICTURE_SUFFIXES:
            path.with_suffix(suffix).unlink(missing_ok=True)  # of an earlier analysis
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(drawing.figure, path, list(drawing.rows[0]), drawing.rows)
    report.written.append(path)


def _finish(report: Report, title: str) -> None:
    report.folder.mkdir(parents=True, exist_ok=True)
    write_json(
        report.folder / "findings.json",
        {"series": report.findings, "left_out": [asdict(one) for one in report.left_out]},
    )
    write_atomically(report.folder / "findings.md", markdown(report.findings, report.left_out_lines(), title))
    report.written += [report.folder / "findings.json", report.folder / "findings.md"]
