"""Evaluations: pass@k of all on one axis as their results have it, and the tokens of their samples."""

import csv
import json

import pytest

from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.subject import find_subject
from htpo.analysis.texts import read_samples
from htpo.cli.analyze import run_analysis
from htpo.errors import UserError
from htpo.report import write_report
from htpo.report.analysis_folder import analyze_evaluations
from tests.analysis.finished_evaluation import write_evaluation
from tests.analysis.word_model import save_word_model


def analyze(*evaluations, folder, scored=None):
    source = find_subject([evaluation.path for evaluation in evaluations])
    samples = {label: evaluation.samples() for label, evaluation in source.evaluations.items()}
    return analyze_evaluations(samples, scored or {}, folder, read_logic_words(), 5, "")


def curves(folder):
    with (folder / "pass-at-k.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return write_evaluation(tmp_path_factory.mktemp("first") / "first", {"sums": 12, "aime": 5})


def test_curves_are_those_of_the_results(first, tmp_path):
    second = write_evaluation(tmp_path / "second", {"sums": 12}, samples=4, rate=0.2)
    report = analyze(first, second, folder=tmp_path / "out")
    rows = curves(tmp_path / "out")
    assert {(row["task"], row["evaluation"]) for row in rows} == {
        ("sums", "first"), ("sums", "second"), ("aime", "first"),
    }  # fmt: skip
    for evaluation in (first, second):
        for task, found in evaluation.run.read_json("results.json")["tasks"].items():
            mine = [row for row in rows if (row["task"], row["evaluation"]) == (task, evaluation.path.name)]
            assert [int(row["k"]) for row in mine] == [1, 2, 4, 8][: 4 if evaluation is first else 3]
            for row in mine:
                for end, name in (("pass_at_k", "value"), ("low", "low"), ("high", "high")):
                    assert float(row[end]) == pytest.approx(found["pass_at_k"][name][int(row["k"]) - 1])
    assert [one.name for one in report.left_out] == ["tokens"]
    assert {path.name for path in report.written} == {"pass-at-k.png", "findings.json", "findings.md"}


def test_samples_are_texts_but_for_empty_ones(first, tmp_path):
    rows = read_samples(first, "sums")
    stored = [row for rows in first.store("sums").rows() for row in rows]
    assert len(stored) == 96
    assert [row["response"] for row in rows] == [row["response"] for row in stored][1:]
    right = sum(row["correct"] for row in stored[:8])
    assert rows[0] == {
        "prompt": "problem 1 of sums:", "response": stored[1]["response"], "correct": stored[1]["correct"],
        "group_accuracy": right / 8,
    }  # fmt: skip


def test_the_messages_that_a_chat_server_got_are_messages_again(tmp_path):
    served = write_evaluation(
        tmp_path / "chat", {"sums": 1}, backend="server", sent='[{"role": "user", "content": "é"}]'
    )
    assert read_samples(served, "sums")[0]["prompt"] == [{"role": "user", "content": "é"}]
    base = write_evaluation(tmp_path / "base", {"sums": 1}, backend="server", chat=False, sent="[1, 2] sum:")
    assert read_samples(base, "sums")[0]["prompt"] == "[1, 2] sum:"


def test_a_model_scores_the_samples_of_every_task(first, tmp_path):
    model = save_word_model(tmp_path / "model")
    run_analysis([first.path], model, 1.0, None, 5, tmp_path / "out")
    for task in ("sums", "aime"):
        assert "under model at temperature 1" in (tmp_path / "out" / task / "responses.html").read_text()
    findings = json.loads((tmp_path / "out" / "findings.json").read_text())["series"]
    assert {task: found["responses"] for task, found in findings.items()} == {"sums": 95, "aime": 39}
    assert findings["sums"]["forking_entropy"]["all"]["wrong_responses"] > 10


def test_what_cannot_be_done_is_said(first, tmp_path):
    second = write_evaluation(tmp_path / "second", {"sums": 3}, samples=1)
    with pytest.raises(UserError, match="--model scores the samples of one evaluation"):
        run_analysis([first.path, second.path], "m", 1.0, None, 5, tmp_path / "out")
    with pytest.raises(UserError, match="a report is made of one evaluation"):
        write_report(find_subject([first.path, second.path]), tmp_path / "report.html")
    once = analyze(second, folder=tmp_path / "once")
    assert ("pass-at-k", True) in [(one.name, "2 and more" in one.why) for one in once.left_out]
    begun = write_evaluation(tmp_path / "begun", {"sums": 3})
    next(begun.store("sums").folder.iterdir()).unlink()
    with pytest.raises(UserError, match="begun is not finished: 0 of 24 samples of sums are there"):
        analyze(begun, folder=tmp_path / "none")
    assert not (tmp_path / "none").exists()
