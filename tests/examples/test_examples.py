"""The examples run as they stand, and do what they say."""

import runpy
from pathlib import Path
from unittest.mock import patch

from examples import fewest_steps, own_engine, own_training_loop
from htpo.objectives.axes import AXES
from htpo.objectives.rules import RULES
from tests.cli.forked import train_in_a_fork

ROOT = Path(__file__).resolve().parents[2]


def test_the_training_loop_learns():
    accuracies = own_training_loop.main(generations=12)
    assert accuracies[-1] > 3 * accuracies[0]


def test_the_training_loop_does_not_depend_on_the_size_of_micro_batches():
    cut, whole = (own_training_loop.main(generations=3, micro_batch=size) for size in (32, 256))
    assert cut == whole


def test_the_trl_script_trains_with_its_axis_and_rule(capsys):
    with patch.dict(AXES), patch.dict(RULES):  # other tests do not know what the script registers
        trainer = runpy.run_path(str(ROOT / "examples" / "trl_custom_rule.py"))["main"](updates=2)
    printed = capsys.readouterr().out
    assert trainer.state.global_step == 2
    assert "G8 hard / wrong / high / unlikely: scaled (share 0.25)" in printed
    assert "G7 hard / wrong / high / likely: penalise forking" in printed


def test_the_verifier_asks_for_the_fewest_steps():
    row = {"puzzle": "+9-9*2 29>11:", "fewest": 2}
    answers = {"-9=20-9=11.": 1, "+9=38-9=29-9=20-9=11.": 0.5, "-9=20-8=12.": 0, "-9=21-9=11.": 0, "eleven": 0}
    assert {answer: fewest_steps.judge(answer, row) for answer in answers} == answers
    assert fewest_steps.shortest_answer(["+9", "-9", "*2"], 29, 11) == "-9=20-9=11."
    assert fewest_steps.shortest_answer(["+2", "-2", "*2"], 2, 59) is None


def test_the_verifier_is_found_by_the_command(tmp_path):
    puzzles = tmp_path / "puzzles.jsonl"
    fewest_steps.main(str(puzzles), puzzles=24)
    data = ["--dataset", str(puzzles), "--prompt_column", "puzzle", "--verifier", "examples.fewest_steps:judge"]
    model = ["--model_name_or_path", str(ROOT / "htpo" / "assets" / "number_path"), "--max_completion_length", "32"]
    trained = train_in_a_fork(data + model, tmp_path)
    assert (trained.kind, trained.message) == ("ok", "")
    assert "examples.fewest_steps:judge judges the whole response" in " ".join(trained.printed.split())


def test_a_job_runs_on_an_engine_of_ones_own():
    summary = own_engine.main(updates=2)
    assert summary["updates"] == 2
    assert len(summary["pass@1"]) == 2
    assert summary["figure"].endswith("training.png")
