"""Pass rates of a model at hand: every answer with its own row, the same every time."""

import pytest
from datasets import Dataset

from htpo.evaluate import SamplingOptions, measure_pass_rates
from htpo.evaluate.answers import answer
from htpo.tasks.task import Problems
from htpo.verifiers.verdict import Verdict
from tests.engines.tiny import save_tiny_model
from tests.evaluate.generators.tiny import tiny_generator


class LengthVerifier:
    """Right when the response has an even number of characters; fails on empty ones."""

    def __init__(self):
        self.rows = []

    def judge(self, responses, rows):
        self.rows += rows
        return [Verdict(len(r) % 2 == 0, failure=None if r else "unparsable") for r in responses]

    def close(self):
        raise AssertionError("training goes on with it")


def problems(**columns):
    return Problems("sums", Dataset.from_dict(columns), LengthVerifier(), "sums")


def test_every_answer_is_judged_with_its_own_row(tiny_model):
    asked = problems(prompt=["1+1=", "22+2="], answer=["2", "24"])
    generator = tiny_generator(tiny_model, SamplingOptions(top_p=1.0, max_tokens=40, seed=3), batch_size=30)
    found, rows = measure_pass_rates(asked, generator, samples=50), []
    seen = [row["answer"] for row in asked.verifier.rows]
    answer(asked, generator, 50, rows.extend)
    ended = [[row["response"] for row in rows if row["problem"] == p and row["finished"]] for p in (1, 2)]
    cut = 100 - sum(map(len, ended))
    assert 0 < cut < 100
    assert seen == ["24"] * len(ended[1]) + ["2"] * len(ended[0])  # the longest prompts come first
    assert found.correct == tuple(sum(len(text) % 2 == 0 for text in group) for group in ended)
    assert found.mean_length == sum(row["tokens"] for row in rows) / 100
    assert found.truncated == pytest.approx(cut / 100)
    assert found.failures["truncated"] == cut
    assert [example["prompt"] for example in found.examples] == ["1+1=", "1+1="]
    assert [example["correct"] for example in found.examples] == [True, False]
    assert measure_pass_rates(asked, generator, samples=50) == found


def test_a_chat_template_gets_its_options_and_examples_show_the_messages(tmp_path):
    path = save_tiny_model(tmp_path, "{{ mark }}{% for m in messages %}{{ m.content }}{% endfor %}")
    chat, options = [{"role": "user", "content": "1+1="}], SamplingOptions(top_p=1.0, max_tokens=40)
    asked = problems(prompt=[chat])
    marked = measure_pass_rates(asked, tiny_generator(path, options, template_options={"mark": "7"}), samples=9)
    text = measure_pass_rates(problems(prompt=["71+1="]), tiny_generator(path, options), samples=9)
    assert (marked.correct, marked.mean_length) == (text.correct, text.mean_length)
    assert {row["sent"] for row in asked.verifier.rows} == {"71+1="}
    assert marked.examples[0]["prompt"] == chat


def test_problems_of_several_sources_with_the_same_numbers_are_all_asked(tiny_model):
    asked = problems(prompt=["1+1=", "2+2=", "3+3="], row=[1, 1, 2])
    found = measure_pass_rates(asked, tiny_generator(tiny_model, SamplingOptions(max_tokens=8)), samples=2)
    assert found.problems == 3
