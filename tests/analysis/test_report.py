"""Every figure that is listed is drawn, from data that lies beside it; what cannot be is left out with a reason."""

import csv
import json
from html.parser import HTMLParser

import pytest
from matplotlib.image import imread

from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.subject import find_subject
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import build
from htpo.figures.responses import draw_responses
from htpo.figures.shading import shade
from htpo.figures.training import MOST_POINTS, draw_training
from htpo.report.analysis_folder import analyze_runs
from htpo.report.responses_page import responses_page
from tests.analysis.finished_run import write_run, write_study
from tests.analysis.test_tokens import rollouts

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


HOSTILE = ['<script>alert("1")</script>', "' onfocus='x", "&amp;", "$x^$", "{{ 7 * 7 }}", "\u202ex", "漢", "\n"]


def hostile_tokens():
    columns = rollouts([[0.5] * len(HOSTILE)]).drop_columns(["tokens", "response", "prompt"])
    columns = columns.append_column("tokens", [[HOSTILE]]).append_column("response", [["".join(HOSTILE)]])
    table = build(columns.append_column("prompt", [['<img src=x onerror="y">']]), {})
    return TokenAnalysis(table, read_logic_words(), min_count=1)


def test_text_of_the_model_is_never_markup():
    page = Page(responses_page(hostile_tokens(), "<b>title</b>"))
    assert page.tags.count("script") == 1  # the page's own
    assert not {"img"} & set(page.tags)
    assert not any(name.startswith("on") for attributes in page.attributes for name in attributes)
    for text in (HOSTILE[0], HOSTILE[1], HOSTILE[4], '<img src=x onerror="y">', "<b>title</b>"):
        assert text in page.text


def test_the_picture_takes_any_text(recwarn):
    draw_responses(hostile_tokens(), "$").figure.canvas.draw()
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


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


@pytest.mark.parametrize("entropy", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_text_on_a_shaded_token_has_the_contrast_that_wcag_asks_for(entropy):
    def luminance(colour):
        channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear))

    darker, lighter = sorted(map(luminance, shade(entropy, lambda value: value)))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_a_long_curve_is_drawn_with_fewer_points_and_its_data_has_all(tmp_path):
    run = write_run(tmp_path / "long", updates=1000, every=1000)
    drawing = draw_training(find_subject([run.path]).tasks[""], "long")
    (line,) = drawing.figure.axes[0].lines
    assert 200 < len(line.get_xdata()) <= MOST_POINTS
    assert line.get_xdata()[-1] == 1000
    assert len([row for row in drawing.rows if row["quantity"] == "accuracy"]) == 1000
