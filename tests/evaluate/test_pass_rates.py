"""Pass rates: the estimator against enumeration, and what sampling leaves untouched."""

from itertools import combinations

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.evaluate import evaluate_task, sample_responses
from htpo.statistics import PassRates, pass_at_k
from htpo.verifiers.verdict import Verdict
from tests.engines.tiny import save_tiny_model


@pytest.mark.parametrize("correct", range(7))
@pytest.mark.parametrize("k", range(1, 7))
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_answer(correct, k):
    subsets = list(combinations([i < correct for i in range(6)], k))
    assert pass_at_k(6, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets), abs=1e-15)


def test_pass_at_k_is_exact_for_many_samples():
    assert pass_at_k(10_000, 0, 5_000) == 0
    assert pass_at_k(10_000, 10_000, 1) == 1
    assert pass_at_k(10_000, 1, 5_000) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize(("samples", "correct", "k"), [(4, 5, 1), (4, 2, 5), (4, 2, 0), (4, -1, 1)])
def test_impossible_counts_are_refused(samples, correct, k):
    with pytest.raises(ValueError, match=f"pass@{k} of {correct} correct among {samples}"):
        pass_at_k(samples, correct, k)


def rates(correct, samples=4, **changes):
    fields = {"mean_length": 1.0, "truncated": 0.0, "failures": {}, "examples": ()}
    return PassRates(samples=samples, correct=tuple(correct), **(fields | changes))


def test_the_change_is_paired_over_problems():
    before, after = [1, 0, 0, 3, 2, 0, 1, 2, 0, 4], [3, 2, 0, 4, 4, 1, 1, 4, 0, 4]
    change = rates(after).change_from(rates(before), 1)
    assert change.value == pytest.approx(10 / 40)
    assert 0 < change.low < change.high
    assert change.p_value < 0.05  # apart, their intervals overlap
    assert rates(before).estimate(1).high > rates(after).estimate(1).low
    solved = rates(after).change_from(rates(before), 4)
    assert solved.value == pytest.approx(2 / 10)
    assert rates([2]).change_from(rates([1]), 1).why == "a single problem says nothing of others"


def test_joined_parts_equal_the_whole():
    parts = [rates([1, 2], mean_length=3.0, failures={"timeout": 1}), rates([4], mean_length=6.0, truncated=0.3)]
    whole = PassRates.join(parts)
    assert whole == rates([1, 2, 4], mean_length=4.0, truncated=pytest.approx(0.1), failures={"timeout": 1})


def test_rates_survive_a_round_trip_through_json():
    given = rates([1, 2], examples=({"prompt": "1+1=", "response": "2", "correct": True},))
    assert PassRates.from_json(given.to_json()) == given


@pytest.fixture(scope="module")
def policy(tmp_path_factory):
    path = save_tiny_model(tmp_path_factory.mktemp("policy"))
    return AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)


def test_sampling_is_seeded_and_leaves_the_callers_randomness_and_mode_alone(policy):
    model, tokenizer = policy
    model.train()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (
        sample_responses(model, tokenizer, ["1+1=", "22+2="], samples=3, max_new_tokens=8, seed=seed)
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert first == again != other
    assert [len(group) for group in first] == [3, 3]


def test_responses_end_with_the_first_end_of_sequence(policy):
    model, tokenizer = policy
    groups = sample_responses(model, tokenizer, ["1+1="], samples=64, max_new_tokens=40, batch_size=10)
    ends = [ids for ids in groups[0] if tokenizer.eos_token_id in ids]
    assert ends
    assert all(ids.index(tokenizer.eos_token_id) == len(ids) - 1 for ids in ends)
    assert all(len(ids) == 40 for ids in groups[0] if ids not in ends)


def test_a_chat_template_gets_its_options(tmp_path):
    path = save_tiny_model(tmp_path, "{{ mark }}{% for m in messages %}{{ m.content }}{% endfor %}")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    chat = [[{"role": "user", "content": "1+1="}]]
    given = {"samples": 4, "max_new_tokens": 8}
    marked = sample_responses(model, tokenizer, chat, template_options={"mark": "7"}, **given)
    assert marked == sample_responses(model, tokenizer, ["71+1="], **given)
    assert marked != sample_responses(model, tokenizer, chat, **given)
    problems = Dataset.from_dict({"prompt": chat})
    found = evaluate_task(model, tokenizer, problems, LengthVerifier(), template_options={"mark": "7"}, **given)
    assert found.mean_length == sum(map(len, marked[0])) / 4


class LengthVerifier:
    """Right when the response has an even number of characters; fails on empty ones."""

    def judge(self, responses, rows):
        self.rows = rows
        return [Verdict(len(r) % 2 == 0, failure=None if r else "unparsable") for r in responses]

    def close(self):
        pass


def test_every_answer_is_judged_with_its_own_row(policy):
    model, tokenizer = policy
    verifier = LengthVerifier()
    problems = Dataset.from_dict({"prompt": ["1+1=", "2+2="], "answer": ["2", "4"]})
    found = evaluate_task(model, tokenizer, problems, verifier, samples=50, max_new_tokens=40, seed=3)
    groups = sample_responses(model, tokenizer, problems["prompt"][:], samples=50, max_new_tokens=40, seed=3)
    ended = [[ids for ids in group if ids[-1] == tokenizer.eos_token_id] for group in groups]
    cut = 100 - sum(map(len, ended))
    assert 0 < cut < 100
    assert [row["answer"] for row in verifier.rows] == ["2"] * len(ended[0]) + ["4"] * len(ended[1])
    texts = [tokenizer.batch_decode(group, skip_special_tokens=True) for group in ended]
    assert found.correct == tuple(sum(len(text) % 2 == 0 for text in group) for group in texts)
    assert found.mean_length == sum(len(ids) for group in groups for ids in group) / 100
    assert found.truncated == pytest.approx(cut / 100)
    assert found.failures["truncated"] == cut
    assert len(found.examples) == 2
