"""The report of runs written without training: its numbers, tables and figures."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread
from scipy import stats

from htpo.errors import UserError
from htpo.runs import RunRecord
from htpo.study import Run, Study, StudyDirectory, plain_words, write_results
from tests.study.finished import finish

STUDY = Study(
    methods={"dapo": {"objective": "dapo"}, "htpo": {}, "other one": {"objective": "grpo"}},
    tasks={"puzzles": {}},
    seeds=(0, 1, 2, 3),
)
ACCURACY = {"dapo": 0.4, "htpo": 0.6, "other one": 0.4}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = finish(STUDY, tmp_path_factory.mktemp("study") / "study", ACCURACY)
    return directory, write_results(STUDY, directory, "mine")


def counts(directory, method):
    return [RunRecord.read(directory.run(Run("puzzles", method, seed))).after.correct for seed in STUDY.seeds]


def test_the_numbers_are_those_of_the_stored_counts(finished):
    directory, results = finished
    found = results["tasks"]["puzzles"]
    assert (found["k"], found["samples"], found["problems"]) == ([1, 2, 4, 8, 16], 16, 40)
    means = {method: np.array(counts(directory, method)).mean(1) / 16 for method in ("dapo", "htpo")}
    assert found["methods"]["htpo"]["pass_at_k"]["1"]["value"] == pytest.approx(means["htpo"].mean())
    solved = [np.mean(np.array(row) > 0) for row in counts(directory, "htpo")]
    assert found["methods"]["htpo"]["pass_at_k"]["16"]["value"] == pytest.approx(np.mean(solved))
    first = found["comparisons"][0]
    assert (first["method"], first["against"], first["k"], first["seeds"]) == ("htpo", "dapo", 1, 4)
    assert first["value"] == pytest.approx((means["htpo"] - means["dapo"]).mean())
    assert first["p_value"] == pytest.approx(stats.ttest_rel(means["htpo"], means["dapo"]).pvalue)
    assert len(found["comparisons"]) == 3 * 5
    assert all(row["holm"] >= row["p_value"] for row in found["comparisons"])
    assert found["methods"]["htpo"]["counts"]["2"]["after"] == list(counts(directory, "htpo")[2])


def test_evaluations_are_compared_over_seeds_beside_the_policy_before(tmp_path):
    study = replace(STUDY, evaluate={"tasks": ["shop", "aime24"], "samples": 2})
    rates = {"dapo": (0.25, 0.5, 0.5, 0.75), "htpo": (0.5, 0.5, 0.75, 1.0), "other one": (0.5, 0.5, 0.5, 0.5)}
    directory = finish(study, tmp_path / "study", ACCURACY, updates=2, skip=[Run("puzzles", "dapo", 3)])
    evaluated = {directory.evaluation(run): rates[run.method][run.seed] for run in study.runs()}
    for evaluation, rate in [*evaluated.items(), (directory.evaluation_before("puzzles"), 0.25)]:
        curve = {"value": [rate, rate], "low": [rate - 0.1] * 2, "high": [rate + 0.1] * 2}
        measures = {"problems": 4, "samples": 2, "pass_at_k": {"k": [1, 2], **curve}, "mean_score": None}
        scored = measures | {"mean_score": {"value": rate / 2}}
        evaluation.run.create({})
        evaluation.run.write_json("results.json", {"tasks": {"shop": scored, "aime24": measures}})
    results = write_results(study, directory, "mine")
    shop, aime = (results["tasks"]["puzzles"]["evaluations"][name] for name in ("shop", "aime24"))
    assert shop["methods"]["htpo"]["pass_at_k"]["2"]["value"] == pytest.approx(0.6875)
    assert shop["methods"]["htpo"]["score"] == {"mean": pytest.approx(0.34375), "min": 0.25, "max": 0.5}
    assert shop["before"]["1"] == {"value": 0.25, "low": 0.15, "high": 0.35, "seeds": 1}
    of_pair = next(row for row in aime["comparisons"] if {row["method"], row["against"]} == {"htpo", "dapo"})
    assert (of_pair["seeds"], of_pair["value"]) == (3, pytest.approx(0.5 / 3))
    assert of_pair["p_value"] == pytest.approx(stats.ttest_rel(rates["htpo"][:3], rates["dapo"][:3]).pvalue)
    text = (directory.path / "results.md").read_text()
    assert "### shop: pass@k after training (4 problems x 2 samples)" in text
    assert "| before training | 1 | 0.250 (0.150 to 0.350) | 0.250 (0.150 to 0.350) | 0.125 |" in text
    assert "0.344 (0.250 to 0.500) |" in text
    assert "puzzles on aime24, 4 problems x 2 samples; before: pass@1 0.250" in "\n".join(plain_words(results))


def test_evaluations_of_other_problems_are_not_compared(tmp_path):
    study = replace(STUDY, evaluate={"tasks": ["shop"]})
    directory = finish(study, tmp_path / "study", ACCURACY, updates=2)
    for run in study.runs():
        curve = {"k": [1], "value": [0.5], "low": [0.4], "high": [0.6]}
        measures = {"problems": 4 + run.seed, "samples": 1, "pass_at_k": curve, "mean_score": None}
        evaluation = directory.evaluation(run).run
        evaluation.create({})
        evaluation.write_json("results.json", {"tasks": {"shop": measures}})
    with pytest.raises(UserError, match="evaluations of puzzles, shop are not alike"):
        write_results(study, directory, "mine")


def test_training_measures_are_means_over_seeds(finished):
    measures = finished[1]["tasks"]["puzzles"]["methods"]["htpo"]["measures"]
    assert measures["entropy_at_the_end"]["mean"] == pytest.approx(0.1, abs=0.02)
    assert measures["length_at_the_end"]["mean"] == pytest.approx(17 + (37 + 38 + 39 + 40) / 160)
    assert measures["minutes"]["mean"] == pytest.approx(40 * 0.6 / 60)
    assert measures["prompts_drawn"] == {"mean": 10, "min": 10, "max": 10}


def test_the_share_that_differs_from_dapo_is_known_where_only_rules_of_tokens_differ(finished):
    by_method = {m: r["measures"]["differs_from_dapo"] for m, r in finished[1]["tasks"]["puzzles"]["methods"].items()}
    assert by_method["htpo"]["mean"] == pytest.approx(0.055)
    assert by_method["dapo"]["mean"] == 0
    assert by_method["other one"] is None


def test_results_are_plain_json_and_the_tables_say_what_they_show(finished):
    directory, results = finished
    assert json.loads((directory.path / "results.json").read_text()) == json.loads(json.dumps(results))
    text = (directory.path / "results.md").read_text()
    found = results["tasks"]["puzzles"]
    assert "| method | seeds | pass@1 | pass@2 | pass@4 | pass@8 | pass@16 |" in text
    assert f"{found['methods']['htpo']['pass_at_k']['8']['value']:.3f} (" in text
    assert "| other one - htpo | 4 | 16 | " in text
    assert "5.50% (5.50% to 5.50%)" in text
    words = "\n".join(plain_words(results))
    assert "htpo (4 seeds): pass@1 0." in words
    assert "pass@1, htpo - dapo: +0." in words


def test_figures_are_drawn_with_their_data_beside_them(finished):
    figures, results = finished[0].path / "figures", finished[1]["tasks"]["puzzles"]
    for name in ("training", "pass-at-k", "differences"):
        assert imread(figures / f"{name}-puzzles.png").std() > 0.05
        assert "</svg>" in (figures / f"{name}-puzzles.svg").read_text()
    with (figures / "pass-at-k-puzzles.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["when"] for row in rows[::5]] == ["before", "after", "after", "after"]
    assert [row["series"] for row in rows[5::5]] == ["dapo", "htpo", "other one"]
    found = {"before": results["before"], "after": results["methods"]["htpo"]["pass_at_k"]}
    for when, series in (("before", "dapo"), ("after", "htpo")):  # the figure's numbers are those of the tables
        for row in rows:
            if (row["series"], row["when"]) == (series, when):
                shown = [float(row[end]) for end in ("pass_at_k", "low", "high")]
                assert shown == pytest.approx([found[when][row["k"]][end] for end in ("value", "low", "high")])
    with (figures / "training-puzzles.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row["quantity"] == "entropy"]) == 3 * 40
    assert all(float(row["min"]) <= float(row["mean"]) <= float(row["max"]) for row in rows)


def test_the_methods_that_finished_are_reported_and_the_others_named(tmp_path):
    skip = [Run("puzzles", "dapo", 1), *(Run("puzzles", "other one", seed) for seed in STUDY.seeds)]
    directory = finish(STUDY, tmp_path / "study", ACCURACY, skip=skip)
    results = write_results(STUDY, directory, "mine")
    found = results["tasks"]["puzzles"]
    assert list(found["methods"]) == ["dapo", "htpo"]
    assert {row["seeds"] for row in found["comparisons"]} == {3}
    assert "puzzles / dapo / seed 1" in (directory.path / "results.md").read_text()


@pytest.mark.parametrize("level", [0, 1])
def test_methods_that_solve_nothing_or_everything_are_reported(tmp_path, level):
    directory = finish(STUDY, tmp_path / "study", dict.fromkeys(ACCURACY, level), updates=2)
    found = write_results(STUDY, directory, "mine")["tasks"]["puzzles"]
    absent = {"low": None, "high": None, "why": "all seeds are alike"}
    assert found["methods"]["htpo"]["pass_at_k"]["4"] == {"value": level, **absent, "seeds": 4}
    assert {(row["value"], row["p_value"], row["effect_size"]) for row in found["comparisons"]} == {(0, 1, None)}


def test_one_seed_one_method_and_one_sample_are_reported_without_intervals(tmp_path):
    one = replace(STUDY, methods={"htpo": {}}, seeds=(3,))
    directory = finish(one, tmp_path / "study", ACCURACY, samples=1, problems=1, updates=1)
    results = write_results(one, directory, "mine")
    assert results["tasks"]["puzzles"]["comparisons"] == []
    assert "(no interval)" in (directory.path / "results.md").read_text()
    assert not (directory.path / "figures" / "differences-puzzles.png").exists()


def test_a_comparison_over_one_seed_is_drawn_and_called_untested(tmp_path):
    one = replace(STUDY, seeds=(3,))
    results = write_results(one, finish(one, tmp_path / "study", ACCURACY), "mine")
    assert any("cannot be tested (1 seed" in line for line in plain_words(results))


def test_a_study_without_a_finished_run_has_nothing_to_report(tmp_path):
    directory = finish(STUDY, tmp_path / "study", ACCURACY, skip=list(STUDY.runs()))
    with pytest.raises(UserError, match="nothing to report"):
        write_results(STUDY, directory, "mine")


def test_another_study_in_the_same_folder_is_refused(finished):
    path = finished[0].path
    StudyDirectory(path).begin(replace(STUDY, parallel=7), {})  # how many at once is not part of it
    with pytest.raises(UserError, match=r"another study \(different: seeds\)"):
        StudyDirectory(path).begin(replace(STUDY, seeds=(0, 1)), {})
    with pytest.raises(UserError, match=r"different: recipe_options"):
        StudyDirectory(path).begin(STUDY, {"max_steps": 3})
