"""`htpo analyze`: everything that can be drawn and said of runs, a study, evaluations, or texts, in one folder."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from htpo.analysis.findings import Findings
from htpo.analysis.left_out import LeftOut
from htpo.analysis.logic_words import LogicWords
from htpo.analysis.subject import Series, Subject
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import TokenTable, read_runs
from htpo.errors import UserError
from htpo.evaluate.directory import folder_name
from htpo.figures.catalogue import OF_EVALUATIONS, OF_SERIES, OF_TOKENS, Entry, Shown, saved
from htpo.figures.pass_at_k import Evaluations
from htpo.report.findings import markdown
from htpo.report.responses_page import responses_page
from htpo.runs import write_atomically, write_json, writing

PAGE = "responses.html"


@dataclass(frozen=True)
class LeftOutPart:
    """A figure, or all that is said of tokens, that is not there."""

    name: str
    label: str  # of the task or series it would have shown; empty where there is one
    why: str


class AnalysisFolder:
    """What was written, what could not be, and what was found.

    Args:
        min_count: rarer tokens are not ranked by mean entropy.
    """

    def __init__(self, path: Path, logic_words: LogicWords, min_count: int):
        self.path = path
        self.written: list[Path] = []
        self.left_out: list[LeftOutPart] = []
        self.findings: dict[str, Findings] = {}  # by series
        self._logic_words, self._min_count = logic_words, min_count

    def draw(self, entries: Sequence[Entry[Shown]], shown: Shown, title: str, folder: Path, label: str) -> None:
        """Draw figures in a folder of it."""
        for name, found in saved(entries, shown, title, folder):
            if isinstance(found, Path):
                self.written.append(found)
            else:
                self.left_out.append(LeftOutPart(name, label, found))

    def add_tokens(self, table: TokenTable, title: str, folder: Path, label: str) -> None:
        """Find and draw all of tokens, and write their page."""
        tokens = TokenAnalysis(table, self._logic_words, self._min_count)
        self.findings[label] = tokens.findings
        self.draw(OF_TOKENS, tokens, title, folder, label)
        with suppress(LeftOut):  # for the reason that is given for the picture
            write_atomically(folder / PAGE, responses_page(tokens, title))
            self.written.append(folder / PAGE)

    def add_tokens_of(self, series: Series, folder: Path, label: str) -> None:
        """The same of the rollouts that a series kept, if it did."""
        try:
            table = read_runs(series.runs)
        except UserError as error:
            self.left_out.append(LeftOutPart("tokens", label, str(error)))
        else:
            self.add_tokens(table, series.counted, folder, label)

    def finish(self, title: str) -> None:
        """Write the findings."""
        left_out = [asdict(one) for one in self.left_out]
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "findings.json", {"series": self.findings, "left_out": left_out})
        write_atomically(self.path / "findings.md", markdown(self.findings, self.left_out_lines(), title))
        self.written += [self.path / "findings.json", self.path / "findings.md"]

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


def analyze_runs(subject: Subject, path: Path, logic_words: LogicWords, min_count: int) -> AnalysisFolder:
    """Analyse runs or a study.

    With several tasks, each has a folder of its own; with several series, each has a folder for its tokens.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = AnalysisFolder(path, logic_words, min_count)
    with writing(path):
        for task, series in subject.tasks.items():
            several = task if len(subject.tasks) > 1 else ""
            place = path / several
            folder.draw(OF_SERIES, series, task or ", ".join(one.label for one in series), place, several)
            for one in series:
                own = place / one.label.replace("/", "-") if len(series) > 1 else place
                folder.add_tokens_of(one, own, " / ".join(filter(None, [several, one.label])))
        folder.finish(subject.path.name)
    return folder


def analyze_texts(table: TokenTable, title: str, path: Path, logic_words: LogicWords, min_count: int) -> AnalysisFolder:
    """Analyse scored texts.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = AnalysisFolder(path, logic_words, min_count)
    with writing(path):
        folder.left_out.append(LeftOutPart("training over time", "", "texts have no updates: give a run"))
        folder.add_tokens(table, title, path, title)
        folder.finish(title)
    return folder


def analyze_evaluations(
    evaluations: Evaluations,
    scored: Mapping[str, TokenTable],
    path: Path,
    logic_words: LogicWords,
    min_count: int,
    scorer: str,
) -> AnalysisFolder:
    """Analyse evaluations: pass@k of all on one axis, and the tokens of samples that were scored.

    Args:
        scored: token tables by task; with several tasks each has a folder for its tokens.
        scorer: what scored them, for titles.

    Raises:
        UserError: the folder cannot be written.
    """
    folder = AnalysisFolder(path, logic_words, min_count)
    title = ", ".join(evaluations)
    with writing(path):
        folder.draw(OF_EVALUATIONS, evaluations, title, path, "")
        for task, table in scored.items():
            place = path / folder_name(task) if len(scored) > 1 else path
            folder.add_tokens(table, f"{title}, {task} {scorer}", place, task)
        if not scored:
            why = "samples have no entropies: say which --model scores them"
            folder.left_out.append(LeftOutPart("tokens", "", why))
        folder.finish(title)
    return folder
