"""What options name, and which would have no effect on it."""

from dataclasses import fields

import pytest
from datasets import Dataset

from htpo.errors import UserError
from htpo.tasks import DataOptions
from htpo.tasks.gradings import GRADINGS
from htpo.tasks.selection import OF_ANY_SOURCE, REASONS
from htpo.tasks.sources import SOURCES
from tests.tasks.data import load, math_task, refusal, sums, task_of_data


@pytest.mark.parametrize(
    ("datasets", "options", "message"),
    [
        (["aime99=a.jsonl"], {}, "'aime99' is no benchmark, there are dapo-math-17k"),
        (["aime24=a.txt"], {}, "'a.txt' is no .jsonl"),
        (["aime24=none.jsonl"], {}, "no such file"),
        (["number_path", "number_path"], {}, "give each once"),
        (["number_path", "countdown"], {"dataset_weights": [1.0]}, "one positive number for each of the 2"),
        (["number_path"], {"dataset_weights": [1.0]}, "--dataset_weights has no effect on number_path"),
        (["aime24=a.jsonl"], {"eval_dataset": "countdown"}, "puzzles are held out by themselves"),
        (["number_path"], {"max_verifier_failures": 0.1}, "it belongs to a verifier of your own"),
        (["aime24=a.jsonl"], {"sandbox": "none"}, "it belongs to the code verifier"),
        (["humaneval=a.jsonl"], {"answer_format": "boxed"}, "it belongs to the math verifier"),
    ],
)
def test_what_cannot_be_meant_is_refused(datasets, options, message):
    with pytest.raises(UserError, match=message):
        load(*datasets, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"verifier": None}, "needs a verifier: set --verifier math"),
        ({"verifier": "maths"}, "unknown verifier 'maths': set --verifier math"),
        (
            {"prompt_template": "Solve it."},
            "prompt_template 'Solve it.' must say where the problem goes",
        ),
        ({"answer_pattern": "("}, "answer_pattern '(' is not a regular expression"),
        ({"answer_pattern": "answer"}, "answer_pattern 'answer' has 0 groups"),
        ({"answer_pattern": "(a)", "prompt_template": None}, "--answer_pattern needs a --prompt_template"),
        ({"held_out_prompts": -1}, "held_out_prompts=-1 must not be negative"),
        ({"train_prompts": 100}, "it counts generated puzzles"),
        ({"dataset_split": "test"}, "it belongs to Hugging Face datasets"),
        ({"dataset_config": "main"}, "it belongs to Hugging Face datasets and reasoning_gym"),
        ({"eval_split": "validation"}, "it needs an --eval_dataset from the Hugging Face Hub"),
        ({"prompt_column": "question"}, "no column 'question' (found: 'problem', 'answer'); set --prompt_column"),
        ({"answer_column": "label"}, "no column 'label' (found: 'problem', 'answer'); set --answer_column"),
        ({"eval_dataset": "none.jsonl"}, "none.jsonl: no such file"),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_by_name(forty, options, message):
    assert message in refusal(forty, **options)


def test_an_evaluation_file_takes_no_split(forty):
    assert "it needs an --eval_dataset from" in refusal(forty, eval_dataset=forty, eval_split="validation")


def test_splits_and_configuration_are_given_to_the_hub_for_each_dataset(monkeypatch):
    asked = []

    def load_dataset(name, config, split):
        asked.append((name, config, split))
        return Dataset.from_list(sums(10, start=100 * len(asked)))

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    math_task("org/data", dataset_config="main", eval_dataset="org/data", eval_split="validation")
    math_task("org/data", dataset_config="main", dataset_split="all", eval_dataset="org/other")
    assert asked == [
        ("org/data", "main", "train"),
        ("org/data", "main", "validation"),
        ("org/data", "main", "all"),
        ("org/other", None, "test"),
    ]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("verifier", "math"),
        ("dataset_split", "test"),
        ("dataset_config", "main"),
        ("prompt_column", "question"),
        ("answer_column", "label"),
        ("prompt_template", "{prompt}"),
        ("answer_format", "answer_line"),
        ("answer_pattern", "(a)"),
        ("sandbox", "none"),
        ("max_verifier_failures", 0.1),
        ("skip_bad_rows", True),
        ("eval_dataset", "a.jsonl"),
        ("eval_split", "validation"),
        ("dataset_weights", [1.0]),
    ],
)
def test_an_option_the_puzzles_would_ignore_is_refused(option, value):
    with pytest.raises(UserError, match=f"^--{option} has no effect on number_path: "):
        task_of_data("number_path", **{option: value})


def test_every_option_belongs_to_a_source_or_a_verifier_or_there_is_a_reason_for_its_refusal():
    options = {field.name for field in fields(DataOptions)}
    owned = set().union(*(kind.options for kind in (*SOURCES, *GRADINGS.values())))
    assert owned <= options
    assert owned | OF_ANY_SOURCE | set(REASONS) == options
