"""The page: one HTML file that needs no network and runs no code but its own."""

import base64
import time
from collections.abc import Sequence
from pathlib import Path

from htpo.analysis.subject import Subject
from htpo.errors import UserError
from htpo.report.content import Content, of_runs, of_study
from htpo.report.evaluated import of_evaluation
from htpo.report.html import policy_hash, read_asset, render_page
from htpo.report.words import GLOSSARY
from htpo.runs import installed_version, write_atomically, writing
from htpo.study import read_results

NAME = "report.html"
HEADINGS = {"run": "Training run {}", "runs": "Training runs {}", "study": "Study {}", "evaluation": "Evaluation {}"}


def write_report(subject: Subject, path: Path) -> Path:
    """Write the report of a run, of several runs, of a study, or of an evaluation; returns its path.

    Raises:
        UserError: there is no such report of the subject or its files cannot be read, or the page cannot be written.
    """
    page = render(_content(subject))
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page)
    return path


def _content(subject: Subject) -> Content:
    if subject.texts:
        raise UserError(f"{subject.path} is a file of texts: a report is made of runs, `htpo analyze` takes this")
    if len(subject.evaluations) > 1:
        raise UserError("a report is made of one evaluation: `htpo eval --compare` takes two, `htpo analyze` several")
    if subject.evaluations:
        return of_evaluation(*subject.evaluations.values())
    return of_runs(subject.tasks[""]) if "" in subject.tasks else of_study(subject, read_results(subject.path))


def default_path(paths: Sequence[Path]) -> Path:
    """Inside the run or study; several runs need a path of their own.

    Raises:
        UserError: there are several.
    """
    if len(paths) > 1:
        raise UserError("several runs are reported together: say where to with --output FILE.html")
    return paths[0] / NAME


def render(content: Content) -> str:
    """The page as HTML. Every text is escaped, and its policy lets no script run but the one it was made with."""
    style = read_asset("page.css")
    return render_page(
        "page.html.j2",
        "page.js",
        filters={"b64": lambda text: base64.b64encode(text.encode()).decode()},
        content=content,
        heading=HEADINGS[content.kind].format(content.title),
        glossary=GLOSSARY,
        version=installed_version("htpo") or "from its source",
        written=time.strftime("%Y-%m-%d %H:%M"),
        style=style,
        style_hash=policy_hash(style),
    )
