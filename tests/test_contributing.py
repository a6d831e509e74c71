"""The examples of CONTRIBUTING.md do what it says."""

import importlib
import re
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest

from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import read_runs
from htpo.objectives import DESCRIPTIONS, OBJECTIVES, make_objective
from htpo.runs import ObjectiveTable, RunRecord
from tests.analysis.finished_run import write_run

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(htpo/\S+\.py)`:\n\n```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE))


@pytest.fixture
def written(monkeypatch):
    """Imports the files of the text as if they lay where it says; the registry of objectives forgets them."""

    def load(path: str) -> ModuleType:
        name = path.removesuffix(".py").replace("/", ".")
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(FILES[path], path, "exec"), module.__dict__)
        return module

    with patch.dict(OBJECTIVES), patch.dict(DESCRIPTIONS):
        yield load


def test_the_objective_is_known_by_its_name(written):
    written("htpo/objectives/hard_only.py")
    lines = ObjectiveTable.from_json(make_objective("hard_only", threshold=0.5).describe()).lines
    assert lines == ["G1 hard: ppo", "G2 easy: zero"]


def test_the_verifier_judges_the_last_line_of_what_its_grading_asks_for(written):
    verifier = written("htpo/verifiers/exact.py").ExactVerifier()
    grading = written("htpo/tasks/gradings/exact.py").ExactGrading()
    row = grading.fields({"answer": "Forty-two"}, "6 * 7 =", "answer")
    responses = [row["solution"], "It is\nforty-two \n", "forty-two\nor so", ""]
    assert [verdict.correct for verdict in verifier.judge(responses, [row] * 4)] == [True, True, False, False]


def test_the_source_reads_a_table(written, tmp_path):
    tables = written("htpo/tasks/sources/tables.py").Tables
    path = tmp_path / "sums.tsv"
    path.write_text("problem\tanswer\n12+30=\t42\n", encoding="utf-8")
    raw = tables.find(str(path)).read()
    assert (raw.columns, raw.rows) == (["problem", "answer"], [(2, {"problem": "12+30=", "answer": "42"})])
    assert tables.find("sums.jsonl") is None


def test_the_figure_counts_every_answer(written, tmp_path):
    table = read_runs([RunRecord.read(write_run(tmp_path / "run", updates=6))])
    draw = written("htpo/figures/answer_lengths.py").draw_answer_lengths
    drawing = draw(TokenAnalysis(table, read_logic_words(), min_count=1), "a run")
    assert sum(row["answers"] for row in drawing.rows) == len(table.responses)


def test_every_file_of_the_text_is_tried_and_none_is_there():
    assert len(FILES) == 5
    for path in FILES:
        assert importlib.util.find_spec(path.removesuffix(".py").replace("/", ".")) is None
