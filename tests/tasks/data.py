"""Rows, files of rows, and tasks of them."""

import json

import pytest

from htpo.errors import UserError
from htpo.tasks import DataOptions, load_task

PLAIN = "{prompt}"  # a template that adds nothing
ADD = {
    "problem": "Read two numbers and print their sum.",
    "tests": [{"input": "1 2", "output": "3", "testtype": "stdin"}],
    "answer": "print(sum(map(int, input().split())))",
}


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def sums(count, start=0):
    return [{"problem": f"What is {n} + 1?", "answer": str(n + 1)} for n in range(start, start + count)]


def task_of_data(dataset, *, conversational=False, seed=0, **options):
    return load_task(DataOptions(dataset=dataset, **options), conversational=conversational, seed=seed)


def load(*datasets, conversational=False, **options):
    options = {"held_out_prompts": 0, **options}
    return load_task(DataOptions(dataset=list(datasets), **options), conversational=conversational)


def math_task(dataset, **options):
    return task_of_data(dataset, **{"verifier": "math", "prompt_template": PLAIN, **options})


def refusal(dataset, **options):
    with pytest.raises(UserError) as caught:
        math_task(dataset, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
