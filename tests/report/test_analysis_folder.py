"""Every figure that is listed is drawn, from data that lies beside it; what cannot be is left out with a reason."""

import csv
import json
from html.parser import HTMLParser

import pytest
from matplotlib.image import imread

from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.subject import find_subject
from htpo.report.analysis_folder import analyze_runs
from tests.analysis.finished_run import write_run, write_study

OVER_TRAINING = {"training-dynamics", "entropy-by-group", "pass-at-k"}
OF_TOKENS = {"word-clouds", "logic-words", "forking-entropy", "gradient-sources", "responses"}
LEVELS = [f"{d} {a} {e}" for d in ("hard", "easy") for a in ("correct", "wrong") for e in ("low", "high")]


def analyze(*paths, folder, min_count=5):
    return analyze_runs(find_subject(paths), folder, read_logic_words(), min_count)


def drawn(folder):
    """Names of figures in a folder, each with its vector form and its data."""
    for path in folder.glob("*.png"):
        assert imread(path)[..., :3].std() > 0.03, f"{path} is empty"
        assert path.with_suffix(".svg").read_text().startswith("<?xml")
        with path.with_suffix(".csv").open() as file:
            assert len(list(csv.DictReader(file))) > 1
    return {path.stem for path in folder.glob("*.png")}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("analysis") / "run")


@pytest.fixture(scope="module")
def analyzed(run):
    """(folder, report) of a run, in a folder where an earlier analysis left a figure that is not drawn now."""
    folder = run.path / "analysis"
    folder.mkdir()
    (folder / "one-group-alone.png").write_text("of an earlier analysis")
    return folder, analyze(run.path, folder=folder)


def test_a_run_gives_every_figure_but_that_of_a_study(analyzed):
    folder, report = analyzed
    assert drawn(folder) == OVER_TRAINING | OF_TOKENS
    assert [(one.name, "only: GROUP" in one.why) for one in report.left_out] == [("one-group-alone", True)]
    assert all(path.is_file() for path in report.written)
    findings = json.loads((folder / "findings.json").read_text())["series"]["run"]
    assert findings["logic_words"]["tokens"]["all"]["difference"]["low"] > 0
    assert len(findings["vocabulary"]["highest"]) > 10
    assert sum(shares["token_share"] for shares in findings["gradient_sources"].values()) == pytest.approx(1)
    assert ": holds." in (folder / "findings.md").read_text()


def test_a_study_gives_the_panels_of_single_groups(tmp_path):
    methods = {"dapo": None, **{f"G{number} alone": levels for number, levels in enumerate(LEVELS, start=1)}}
    study = write_study(tmp_path / "study", methods)
    for path in study.glob("runs/*/*/*/rollouts/*"):  # tokens of nine methods would take long
        path.unlink()
    report = analyze(study, folder=tmp_path / "out")
    assert drawn(tmp_path / "out") == {*OVER_TRAINING, "one-group-alone"}
    with (tmp_path / "out" / "one-group-alone.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["only"] for row in rows} == {"", *LEVELS}
    assert all(row["n"] == "2" for row in rows)
    assert {one.name for one in report.left_out} == {"tokens"}
    assert len(report.left_out_lines()) == 9


def test_several_runs_share_axes_and_keep_their_tokens_apart(run, tmp_path):
    dapo = write_run(tmp_path / "dapo", objective="dapo", updates=6)
    report = analyze(run.path, dapo.path, folder=tmp_path / "out")
    assert drawn(tmp_path / "out") == OVER_TRAINING
    assert drawn(tmp_path / "out" / "run") == drawn(tmp_path / "out" / "dapo") == OF_TOKENS
    with (tmp_path / "out" / "training-dynamics.csv").open() as file:
        assert {row["series"] for row in csv.DictReader(file)} == {"run", "dapo"}
    assert report.findings.keys() == {"run", "dapo"}


def test_a_run_without_groups_measurements_and_rollouts_says_so(tmp_path):
    dapo = write_run(tmp_path / "dapo", objective="dapo", updates=2)
    for path in [*dapo.path.glob("evaluation_*"), *dapo.path.glob("rollouts/*")]:
        path.unlink()
    report = analyze(dapo.path, folder=tmp_path / "out")
    assert drawn(tmp_path / "out") == {"training-dynamics"}
    reasons = {one.name: one.why for one in report.left_out}
    assert "no groups" in reasons["entropy-by-group"]
    assert "measured held-out problems" in reasons["pass-at-k"]
    assert "no rollouts" in reasons["tokens"]


def test_a_run_that_has_only_begun_gives_no_empty_picture(run, tmp_path):
    begun = write_run(tmp_path / "begun", updates=0)
    for path in begun.path.glob("evaluation_*"):
        path.unlink()
    report = analyze(begun.path, folder=tmp_path / "out")
    assert drawn(tmp_path / "out") == set()
    assert len(report.left_out) == 5


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_data(self, data):
        self.text += data


def test_the_page_stands_alone_and_says_all_of_every_token(analyzed):
    folder, _ = analyzed
    text = (folder / "responses.html").read_text()
    page = Page(text)
    assert "http" not in text.replace("http-equiv", "")
    assert not any("src" in attributes or "href" in attributes for attributes in page.attributes)
    assert page.tags.count("section") == 4  # hard and easy, correct and wrong
    tokens = [a for a in page.attributes if "token" in (a.get("class") or "").split()]
    assert all("entropy " in a["title"] and "group G" in a["title"] and "weight " in a["title"] for a in tokens)
    assert sum(a["tabindex"] == "0" for a in tokens) == 4  # a stop each for the Tab key, arrows go on from there
    with (folder / "responses.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(tokens)
