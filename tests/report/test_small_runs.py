"""Train, analyse and report runs that are too small for most of what is computed of them."""

import re

import pytest

from htpo.analysis.subject import find_subject
from htpo.cli.analyze import run_analysis
from htpo.objectives import OBJECTIVES
from htpo.report import write_report
from tests.report.small_runs import SHAPES, train

NOT_A_NUMBER = re.compile(r"(?<![\w-])(nan|inf|None)\b(?![-\w])")


@pytest.fixture(autouse=True)
def _quiet_trl(monkeypatch):
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


def report(run):
    """The page's text. It holds neither NaN nor None where a number was to stand."""
    page = write_report(find_subject([run.path]), run.path / "report.html").read_text()
    shown = re.sub(r"<script.*?</script>|data:[^\"]*|<style.*?</style>", "", page, flags=re.DOTALL)
    assert not NOT_A_NUMBER.findall(shown.replace("returned None", ""))
    return shown


def report_and_analyze(run):
    shown = report(run)
    run_analysis([run.path], None, 1.0, None, 1, None)
    assert not NOT_A_NUMBER.findall((run.path / "analysis" / "findings.md").read_text())
    return shown


OF_EACH_KIND = ("htpo", "gspo", "clip_cov")  # with groups, by sequences, over the batch


@pytest.mark.parametrize(
    "objective", [pytest.param(name, marks=[] if name in OF_EACH_KIND else pytest.mark.slow) for name in OBJECTIVES]
)
def test_a_run_of_one_update_is_reported_whatever_the_objective(tmp_path, objective):
    run = train(tmp_path, objective, "1 update")
    shown = report(run)
    assert f"Objective in force: {objective}" in shown
    assert "the only update" in shown
    rollouts = run.read_rollouts().to_pylist()
    assert [row["gold"] for row in rollouts] == [str(2 * int(row["prompt"].split("+")[0])) for row in rollouts]


@pytest.mark.parametrize("shape", ["4 updates", "no right answer", pytest.param("one token", marks=pytest.mark.slow)])
def test_a_small_run_is_reported_whatever_is_missing(tmp_path, shape):
    report_and_analyze(train(tmp_path, "htpo", shape))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_and_shape(tmp_path, objective, shape):
    report_and_analyze(train(tmp_path, objective, shape))


def test_answers_without_a_verdict_are_a_concern_and_no_record(tmp_path):
    run = train(tmp_path, "grpo", "no verdict at times")
    assert 0 < run.read_metrics()[0]["unscored_share"] < 1
    assert "Some answers got no verdict" in report(run)
    assert {row["failure"] for row in run.read_rollouts().to_pylist()} <= {None, "truncated"}


def test_an_update_without_a_token_has_no_entropy(tmp_path):
    run = train(tmp_path, "dapo", "no right answer")
    assert [record["entropy"] for record in run.read_metrics()] == [None]
    assert "entropy, nats per token</th><td>not computed: no token was trained on" in report(run)
