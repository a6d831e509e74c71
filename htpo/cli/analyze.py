"""`htpo analyze`: from runs, a study, evaluations or texts to figures and findings."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from htpo.analysis.findings import plain_words
from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.subject import Subject, find_subject
from htpo.analysis.texts import read_samples, read_texts
from htpo.analysis.tokens import TokenTable, build
from htpo.errors import UserError
from htpo.report.analysis_folder import AnalysisFolder, analyze_evaluations, analyze_runs, analyze_texts


def run_analysis(
    inputs: list[Path],
    model: str | None,
    temperature: float,
    logic_words: Path | None,
    min_count: int,
    output_dir: Path | None,
) -> None:
    """Analyse, write everything to one folder, and print what was written and found.

    Raises:
        UserError: an input or option cannot be used.
    """
    if not temperature > 0:
        raise UserError(f"--temperature is {temperature}: needs a number above 0")
    if min_count < 1:
        raise UserError(f"--min_count is {min_count}: needs 1 or more")
    subject = find_subject(inputs)
    words = read_logic_words(logic_words)
    folder = output_dir or _default_folder(subject, len(inputs))
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output_dir {folder} is a file: choose another --output_dir")
    if subject.texts is not None:
        if model is None:
            raise UserError(f"{subject.texts} holds texts: say which --model scores them (Hugging Face id or folder)")
        table = _scored(read_texts(subject.texts), model, temperature)
        title = f"{subject.texts.name} {_under(model, temperature)}"
        done = analyze_texts(table, title, folder, words, min_count)
    elif subject.evaluations:
        samples = {label: evaluation.samples() for label, evaluation in subject.evaluations.items()}
        scored = {} if model is None else _scored_samples(subject, model, temperature)
        scorer = "" if model is None else _under(model, temperature)
        done = analyze_evaluations(samples, scored, folder, words, min_count, scorer)
    else:
        if model is not None:
            raise UserError("--model scores texts: leave it out for runs, whose rollouts hold their own scores")
        done = analyze_runs(subject, folder, words, min_count)
    _print(done)


def _under(model: str, temperature: float) -> str:
    return f"under {Path(model).name} at temperature {temperature:g}"


def _scored(rows: list[dict[str, Any]], model: str, temperature: float) -> TokenTable:
    from htpo.analysis.scoring import score_texts

    return build(score_texts(rows, model, temperature), labels={})


def _scored_samples(subject: Subject, model: str, temperature: float) -> dict[str, TokenTable]:
    if len(subject.evaluations) > 1:
        raise UserError("--model scores the samples of one evaluation: leave it out, or give one")
    (evaluation,) = subject.evaluations.values()
    rows = {task: read_samples(evaluation, task) for task in evaluation.tasks}
    return {task: _scored(each, model, temperature) for task, each in rows.items() if each}


def _default_folder(subject: Subject, inputs: int) -> Path:
    if subject.texts is not None:
        return subject.texts.parent / f"{subject.texts.stem}-analysis"
    if inputs > 1:
        raise UserError("several inputs are analysed together: say where to with --output_dir")
    return subject.path / "analysis"


def _print(done: AnalysisFolder) -> None:
    console = Console()

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    for label, findings in done.findings.items():
        say(f"[bold]{escape(label)}[/]: {findings['responses']:,} responses, {findings['tokens']:,} tokens")
        for line in plain_words(findings):
            say(f"  {escape(line)}")
    for line in done.left_out_lines():
        say(f"[yellow]left out[/] {escape(line)}")
    say(f"Written to {escape(str(done.path))}, every .png as .svg, too, with its data as .csv:")
    folders: dict[str, list[str]] = {}
    for path in done.written:
        folders.setdefault(str(path.relative_to(done.path).parent), []).append(path.name)
    for folder, names in folders.items():
        say(f"  {'' if folder == '.' else escape(folder) + ': '}{', '.join(names)}")
