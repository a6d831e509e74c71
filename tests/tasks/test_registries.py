"""A verifier and a kind of source are one class each, and one entry in a registry: everything else follows."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from htpo.errors import UserError
from htpo.tasks.gradings import GRADINGS
from htpo.tasks.gradings.grading import Grading
from htpo.tasks.rows import RawRows, answer_text
from htpo.tasks.sources import SOURCES
from htpo.tasks.sources.source import ReadSource
from htpo.verifiers import Verdict
from tests.tasks.data import load


class ExactVerifier:
    def judge(self, responses, rows):
        return [Verdict(response == row["answer"], response) for response, row in zip(responses, rows, strict=True)]

    def close(self):
        pass


class ExactGrading(Grading):
    name = "exact"
    words = "the whole response, by its letters"
    title = "the exact verifier"
    options = ("answer_format",)
    needs_answer = True

    def __init__(self, answer_format):
        self.verifier = ExactVerifier()

    def fields(self, row, prompt, answer_column):
        return {"answer": answer_text(row, answer_column)}


@dataclass(frozen=True)
class Lines(ReadSource):
    words = "lines:FILE"
    title = "text files"

    @classmethod
    def find(cls, label):
        return cls(label, "lines", label.removeprefix("lines:")) if label.startswith("lines:") else None

    def _read(self, path: Path):
        pairs = [line.split("\t") for line in path.read_text().splitlines()]
        rows = [{"problem": problem, "answer": answer} for problem, answer in pairs]
        return RawRows(self.label, "line", ["problem", "answer"], list(enumerate(rows, start=1)))


@pytest.fixture
def lines(tmp_path, monkeypatch):
    monkeypatch.setitem(GRADINGS, "exact", ExactGrading)
    monkeypatch.setattr("htpo.tasks.selection.SOURCES", (Lines, *SOURCES))
    (tmp_path / "sums").write_text("1 + 1?\t2\n2 + 2?\t4\n")
    return f"lines:{tmp_path / 'sums'}"


def test_rows_of_the_new_source_are_judged_by_the_new_verifier(lines):
    task = load(lines, verifier="exact")
    assert task.train["prompt"][:] == ["1 + 1?", "2 + 2?"]
    assert [verdict.correct for verdict in task.verifier.judge(["2", "5"], list(task.train))] == [True, False]


def test_options_of_others_are_refused_beside_them_and_their_own_are_not(lines):
    load(lines, verifier="exact", answer_format="boxed")
    with pytest.raises(UserError, match=f"--sandbox has no effect on {lines}: it belongs to the code verifier"):
        load(lines, verifier="exact", sandbox="none")
    with pytest.raises(UserError, match="--prompt_column has no effect on number_path: .* files, and text files"):
        load("number_path", prompt_column="question")


def test_they_are_named_where_a_choice_is_to_be_made(lines):
    with pytest.raises(UserError, match="set --verifier math, code, package.module:function, or exact"):
        load(lines)
