"""`htpo analyze` from the command line: a run, texts under a model, and what is refused."""

import json

import pytest

from tests.analysis.finished_run import write_run, write_texts
from tests.analysis.word_model import save_word_model
from tests.cli.command import htpo


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("analyze") / "run", updates=6)


def test_a_run_s_findings_are_printed_and_written_beside_it(run):
    done = htpo("analyze", run.path)
    assert done.returncode == 0, done.stderr
    assert "High-entropy tokens begin a logic word more often than low-entropy ones: holds. " in done.stdout
    assert "left out one-group-alone: no method of a study has" in done.stdout
    for name in ("findings.md", "responses.html", "word-clouds.svg", "gradient-sources.csv"):
        assert (run.path / "analysis" / name).stat().st_size > 300


def test_texts_are_scored_by_a_model(tmp_path):
    texts = write_texts(tmp_path / "texts.jsonl")
    model = save_word_model(tmp_path / "model")
    done = htpo("analyze", texts, "--model", model, "--min_count", "2")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "texts-analysis"
    found = json.loads((folder / "findings.json").read_text())["series"]["texts.jsonl under model at temperature 1"]
    assert found["responses"] == 24
    assert found["forking_entropy"]["all"]["wrong_responses"] == 12
    assert {path.stem for path in folder.glob("*.png")} == {
        "word-clouds",
        "logic-words",
        "forking-entropy",
        "responses",
    }
    assert "left out gradient-sources: no advantage is stored with these responses" in done.stdout


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "p"}, "row 1: response is None, needs text"),
        ({"prompt": [{"role": "user"}], "response": "r"}, "needs text or chat messages"),
        ({"prompt": "p", "response": "r", "correct": "yes"}, "correct is 'yes', needs true or false"),
        ({"prompt": "p", "response": "r", "group_accuracy": 7}, "group_accuracy is 7, needs a number from 0 to 1"),
        ({"prompt": "p", "response": "\ud800"}, "half of a character"),
        ([], "row 1 is list"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path, row, message):
    from htpo.analysis.texts import read_texts
    from htpo.errors import UserError

    with pytest.raises(UserError, match=message):
        read_texts(write(tmp_path / "texts.jsonl", row))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["."], ". is no run (no config.yaml), no study (no study.yaml)"),
        (["texts.jsonl"], "say which --model scores them"),
        (
            ["texts.jsonl", "run"],
            "several inputs must all be runs, or all evaluations, and these are not: texts.jsonl (texts), run (run)",
        ),
        (["run", "run2"], "say where to with --output_dir"),
        (["run", "run", "--output_dir", "out"], "one is given twice"),
        (["run", "--model", "m"], "--model scores texts"),
        (["run", "--output_dir", "texts.jsonl"], "output_dir texts.jsonl is a file"),
        (["texts.jsonl", "--model", "m", "--temperature", "0"], "--temperature is 0.0"),
        (["run", "--min_count", "0"], "--min_count is 0"),
        (["run", "--logic_words", "none.yaml"], "cannot read none.yaml"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    import htpo.cli

    monkeypatch.chdir(tmp_path)
    for name in ("run", "run2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("seed: 0\n")
    write(tmp_path / "texts.jsonl", {"prompt": "p", "response": "r"})
    monkeypatch.setattr("sys.argv", ["htpo", "analyze", *arguments])
    with pytest.raises(SystemExit) as stop:
        htpo.cli.main()
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_accuracy_that_is_not_given_is_that_of_the_file(tmp_path):
    from htpo.analysis.texts import read_texts

    rows = [{"prompt": "p", "response": "r", "correct": n == 0} for n in range(4)] + [{"prompt": "q", "response": "r"}]
    assert [row["group_accuracy"] for row in read_texts(write(tmp_path / "t.jsonl", *rows))] == [0.25] * 4 + [None]
