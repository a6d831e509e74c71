"""What the page says of a run, of several and of a study, and that it is whole and harmless."""

import csv
import io
import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import pytest

from htpo.analysis.subject import find_subject
from htpo.analysis.tokens import read_runs
from htpo.errors import UserError
from htpo.report import default_path, write_report
from htpo.report.content import of_runs, of_study
from htpo.report.page import render
from htpo.report.rollouts import TOKENS_SHOWN, rollouts_for_browser
from htpo.report.tables import config_table, differences_table
from htpo.runs import RunDirectory, RunRecord
from htpo.statistics import PassRates
from htpo.study import read_results
from tests.analysis.finished_run import write_run, write_study
from tests.report.runs import HOSTILE, PLAN, make_hostile, write_finished, write_study_results


class Parsed(HTMLParser):
    """Texts, attributes and scripts of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.links, self.ids, self.data = [], "", [], [], None
        self._inside = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        named = dict(attrs)
        self.links += [named[name] for name in ("src", "href") if name in named]
        self.ids += [named["id"]] if "id" in named else []
        self._inside = named.get("id") if tag == "script" else tag

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "rollouts-data":
            self.data = json.loads(data)
        elif self._inside not in (None, "style") or not self._inside:
            self.text += f"{data} "


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_finished(tmp_path_factory.mktemp("report") / "first")


@pytest.fixture(scope="module")
def page(run):
    return write_report(find_subject([run.path]), run.path / "report.html").read_text()


def words(page):
    return " ".join(Parsed(page).text.split())


def test_a_run_is_told_in_plain_words_with_its_numbers(run, page):
    text = words(page)
    before, after = (PassRates.from_json(run.read_json(f"evaluation_{when}.json")) for when in ("before", "after"))
    change = after.pass_at(1) - before.pass_at(1)
    assert f"On held-out problems pass@1 rose by {change:.3f} (95 % interval +0." in text
    assert f"{before.pass_at(1):.3f} before training, {after.pass_at(1):.3f} after" in text
    for k in (1, 2, 4, 8):
        assert re.search(rf"pass@{k} {before.pass_at(k):.3f} \([\d.]+ to [\d.]+\) {after.pass_at(k):.3f} \(", text)
    assert "in 75 s" in text
    assert all(words in text for words in PLAN.values())
    assert "HTPO sorts every token of every answer by three questions" in text
    assert "G4 hard / wrong / high" in text
    assert "seed 0" in text
    assert run.read_json("versions.json")["torch"] in text


def test_a_run_of_an_earlier_version_whose_table_is_text_is_shown_without_it(tmp_path):
    old = write_finished(tmp_path / "old", updates=6)
    old.write_json("objective.json", {"name": "htpo", "options": {"only": None}, "table": ["G1 hard / correct: ppo"]})
    text = words(write_report(find_subject([old.path]), old.path / "report.html").read_text())
    assert "Objective in force" not in text
    assert "On held-out problems pass@1 rose" in text
    assert set(read_runs([RunRecord.read(old)]).groups.values()) == {f"G{number}" for number in range(1, 9)}


def test_every_figure_is_there_with_its_data(page):
    parsed = Parsed(page)
    images = [attrs for tag, attrs in parsed.tags if tag == "img" and attrs.get("src")]
    assert [image["alt"] for image in images] == [
        "Training over time",
        "What the policy can solve in k attempts",
        "Certainty, group by group",
        "Where the learning comes from",
        "Are wrong answers less sure at their forks?",
        "Do forks begin with words of logic?",
        "Tokens the policy is least and most sure of",
    ]
    for image in images:
        assert b64decode(image["src"].removeprefix("data:image/svg+xml;base64,")).startswith(b"<?xml")
    data = {a["download"]: a["href"] for tag, a in parsed.tags if tag == "a" and "download" in a}
    dynamics = b64decode(data["training-dynamics.csv"].removeprefix("data:text/csv;base64,")).decode()
    assert len([row for row in csv.DictReader(io.StringIO(dynamics)) if row["quantity"] == "accuracy"]) == 24
    assert len(data) == len(images)


def test_the_page_is_whole_small_and_loads_nothing(page):
    parsed = Parsed(page)
    assert len(page) < 5_000_000
    outside = [link for link in parsed.links if not link.startswith(("data:", "#"))]
    assert outside == ["https://arxiv.org/abs/2605.08283"]
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)
    assert "default-src 'none'" in page
    assert "unsafe-inline" not in page


def test_rollouts_have_all_that_was_kept(run, page):
    data = Parsed(page).data
    stored = run.read_rollouts().to_pylist()
    assert len(data["rollouts"]) == data["kept"] == len(stored)
    shown = next(one for one in data["rollouts"] if one["update"] == stored[0]["step"])
    fits = [row for row in stored if row["step"] == shown["update"] and len(row["tokens"]) == shown["length"]]
    row = next(row for row in fits if [round(e, 4) for e in row["entropy"]] == shown["entropy"])
    assert shown["group"] == row["group"]
    assert "".join(shown["text"]).replace("␣", " ").split() == row["response"].split()
    assert shown["correct"] == row["correct"]
    assert data["groups"]["first"]["G2"] == "G2 hard correct high"


def test_too_many_rollouts_are_thinned_evenly(tmp_path):
    run = write_finished(tmp_path / "long", updates=20, every=1, prompts=32, samples=4)
    table = read_runs([RunRecord.read(run)])
    assert len(table.tokens) > TOKENS_SHOWN
    data = rollouts_for_browser({"long": table})
    counts = [sum(one["update"] == step for one in data["rollouts"]) for step in range(1, 21)]
    assert sum(one["length"] for one in data["rollouts"]) <= TOKENS_SHOWN
    assert len(data["rollouts"]) < data["kept"] == len(table.responses)
    assert max(counts) - min(counts) <= 2
    right = sum(one["correct"] for one in data["rollouts"])
    assert abs(right / len(data["rollouts"]) - 0.5) < 0.05


def test_hostile_text_is_escaped_everywhere(tmp_path):
    run = make_hostile(write_finished(tmp_path / "<img src=x onerror=1>", updates=12))
    page = write_report(find_subject([run.path]), tmp_path / "out.html").read_text()
    parsed = Parsed(page)
    assert [
        tag for tag, attrs in parsed.tags if tag == "img" and not attrs.get("src", "data:").startswith("data:")
    ] == []
    assert sum(tag == "script" for tag, _ in parsed.tags) == 2
    assert parsed.data["rollouts"][0]["prompt"] == HOSTILE
    assert "window.hacked" in parsed.text  # the policy's name, as text
    assert "{{ 7 * 7 }}" in parsed.text
    assert "Training run <img src=x onerror=1>" in parsed.text


def test_runs_on_the_same_problems_are_compared_in_pairs_and_others_are_not(tmp_path):
    first, second = (write_finished(tmp_path / name) for name in ("a", "b"))
    other = write_finished(tmp_path / "c", seed=1)
    counts = second.read_json("evaluation_after.json")
    second.write_json("evaluation_after.json", counts | {"correct": [min(8, c + 2) for c in counts["correct"]]})
    source = find_subject([first.path, second.path, other.path])
    side, differences = of_runs(source.tasks[""]).parts[0].tables
    assert side.columns == ["", "a", "b", "c"]
    means = [PassRates.from_json(run.read_json("evaluation_after.json")).pass_at(1) for run in (first, second)]
    at_one = next(row for row in differences.rows if row[1] == "pass@1")
    assert at_one[0] == "b"
    assert at_one[2].startswith(f"{means[1] - means[0]:+.3f} (")
    assert {row[0] for row in differences.rows} == {"b"}
    assert "not measured on the same problems: c" in differences.note


def test_options_that_differ_between_runs_come_first(tmp_path):
    runs = [write_finished(tmp_path / str(seed), seed=seed) for seed in (0, 1)]
    options = of_runs(find_subject([run.path for run in runs]).tasks[""]).settings[0]
    assert options.rows[0] == ["seed", "0", "1"]
    assert options.marked == {0}


def test_a_study_shows_its_own_statistics_and_every_task(tmp_path):
    study = write_study(tmp_path / "study", {"dapo": None, "G2 alone": "hard correct high"})
    results = write_study_results(study)
    content = of_study(find_subject([study]), results)
    tables = {table.title: table for table in content.parts[0].tables}
    assert tables["Differences between methods"].rows[0][:4] == [
        "G2 alone - dapo",
        "2",
        "1",
        "+0.100 (-0.010 to +0.210)",
    ]
    assert [figure.name for figure in content.parts[0].figures][:2] == ["training-dynamics", "pass-at-k"]
    assert "one-group-alone" in [figure.name for figure in content.parts[0].figures]
    assert [objective.runs for objective in content.objectives] == [
        ["dapo / seed-0", "dapo / seed-1"],
        ["G2 alone / seed-0", "G2 alone / seed-1"],
    ]
    assert set(content.rollouts["runs"]) == {run for objective in content.objectives for run in objective.runs}


def test_a_run_without_rollouts_or_measurement_has_a_page_that_says_so(tmp_path):
    run = write_finished(tmp_path / "bare", every=0)
    for file in run.path.glob("evaluation_*.json"):
        file.unlink()
    text = words(write_report(find_subject([run.path]), tmp_path / "bare.html").read_text())
    assert "No rollouts were kept" in text
    assert "no run has measured held-out problems" in text


def test_examples_of_a_chat_are_read_as_text_and_long_ones_shortened(tmp_path):
    run = write_finished(tmp_path / "chat", every=0)
    rates = run.read_json("evaluation_after.json")
    prompt = [{"role": "system", "content": "Be <b>brief</b>."}, {"role": "user", "content": "1+1="}]
    rates["examples"] = [{"prompt": prompt, "response": "x" * 5000 + "2", "correct": True}]
    run.write_json("evaluation_after.json", rates)
    (row,) = of_runs(find_subject([run.path]).tasks[""]).examples.rows
    assert row[:2] == ["right", "system: Be <b>brief</b>.\nuser: 1+1="]
    assert row[2] == "x" * 300 + "\n[... 4,401 characters ...]\n" + "x" * 299 + "2"


def test_an_interrupted_run_is_said_to_be_one(tmp_path):
    run = write_finished(tmp_path / "cut", every=0)
    (run.path / "summary.json").unlink()
    text = words(write_report(find_subject([run.path]), tmp_path / "cut.html").read_text())
    assert "The run did not come to its end" in text
    assert "not finished" in text


def test_a_damaged_file_is_named(tmp_path):
    run = write_finished(tmp_path / "damaged")
    (run.path / "evaluation_after.json").write_text('{"samples": 8')
    with pytest.raises(UserError, match="evaluation_after.json"):
        write_report(find_subject([run.path]), tmp_path / "x.html")
    (run.path / "evaluation_after.json").write_text('{"samples": 8}')
    with pytest.raises(UserError, match="not as htpo writes it"):
        write_report(find_subject([run.path]), tmp_path / "x.html")


def test_several_runs_need_a_file_of_their_own(tmp_path):
    with pytest.raises(UserError, match="--output"):
        default_path([tmp_path / "a", tmp_path / "b"])
    assert default_path([tmp_path]) == tmp_path / "report.html"


def test_data_too_large_for_the_page_is_left_to_analyze(tmp_path, monkeypatch):
    run = write_finished(tmp_path / "large", every=0)
    monkeypatch.setattr("htpo.report.figures.MOST_DATA", 100)
    content = of_runs(find_subject([run.path]).tasks[""])
    assert {figure.csv for part in content.parts for figure in part.figures} == {None}
    assert "training-dynamics.csv of htpo analyze" in render(content)


def test_results_of_an_earlier_version_are_refused_with_the_remedy(tmp_path):
    results = write_study_results(tmp_path)
    results["tasks"]["sums"]["before"]["1"] = {"mean": 0.5, "low": 0.4, "high": 0.6, "seeds": 2}
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(UserError, match="earlier version: .* --report-only"):
        read_results(tmp_path)


def test_options_of_a_run_on_verl_are_verl_s(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create({"engine": "verl", "data.train_batch_size": 8})
    table = config_table([RunRecord.read(run)])
    assert table.rows == [["data.train_batch_size", "8"], ["engine", "verl"]]
    assert "verl_config.yaml" in table.note


def test_runs_on_verl_with_other_validation_data_are_not_compared(tmp_path):
    runs = []
    for name in ("a", "a", "b"):
        run = write_run(tmp_path / f"{len(runs)}")
        run.write_config({"engine": "verl", "data.val_files": f"{name}.parquet"})
        runs.append(RunRecord.read(run, f"run {len(runs)}"))
    note = differences_table(runs).note
    assert note.endswith("not measured on the same problems: run 2.")
