"""The numbers of the findings, against hand-made tables."""

import numpy as np
import pyarrow as pa
import pytest

from htpo.analysis.findings import plain_words
from htpo.analysis.forking_entropy import forking_entropies
from htpo.analysis.gradient_sources import gradient_sources, overall
from htpo.analysis.left_out import LeftOut
from htpo.analysis.logic_share import logic_shares
from htpo.analysis.logic_words import WordTable, read_logic_words
from htpo.analysis.tokens import PARTITION, build, prompt_sample, read_runs
from htpo.analysis.vocabulary import token_vocabulary
from htpo.runs import RunRecord
from tests.analysis.finished_run import write_run


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return read_runs([RunRecord.read(write_run(tmp_path_factory.mktemp("run") / "run"))])


def small(responses=20, wrong_entropy=2.0):
    """Two responses to each prompt, right and wrong, five tokens each, the first of which is high and a logic word."""
    tokens = [[" so", " a", " b", " c", " since"]] * responses
    entropy = [[wrong_entropy if row % 2 else 1.0, 0.1, 0.1, 0.1, 0.1] for row in range(responses)]
    columns = {
        "prompt": [f"p{row // 2}" for row in range(responses)],
        "response": ["".join(row) for row in tokens],
        "tokens": tokens,
        "entropy": entropy,
        "correct": [row % 2 == 0 for row in range(responses)],
        "group_accuracy": [0.5] * responses,
    }
    return build(pa.table(columns), {})


def test_shares_of_logic_words_are_counted():
    small_table = small()
    words = WordTable(small_table, read_logic_words())
    shares = logic_shares(small_table, words, prompt_sample(small_table.responses))
    everything = shares["tokens"]["all"]
    assert everything["high"]["value"] == 1.0
    assert everything["low"]["value"] == 0.25
    assert everything["difference"]["value"] == 0.75
    assert (everything["high_tokens"], everything["low_tokens"]) == (20, 80)
    assert set(shares["tokens"]) == {"all", "hard correct", "hard wrong"}
    assert shares["categories"]["consequence"]["high"]["value"] == 1.0
    assert shares["categories"]["cause"]["low"]["value"] == 0.25


def test_both_findings_hold_where_they_were_put_in(table):
    sample = prompt_sample(table.responses)
    shares = logic_shares(table, WordTable(table, read_logic_words()), sample)
    forking = forking_entropies(table, sample)
    for difference in (
        shares["tokens"]["all"]["difference"],
        shares["words"]["all"]["difference"],
        forking["all"]["difference"],
        forking["same prompt"]["difference"],
    ):
        assert 0 < difference["low"] < difference["value"] < difference["high"]
    found = {"logic_words": shares, "forking_entropy": forking, "groups": table.groups}
    assert sum(": holds." in line for line in plain_words(found)) >= 3


def test_wrong_minus_correct_of_one_prompt_is_paired():
    small_table = small()
    found = forking_entropies(small_table, prompt_sample(small_table.responses))
    assert found["all"]["difference"]["value"] == pytest.approx(1.0)
    assert found["same prompt"]["difference"]["value"] == pytest.approx(1.0)
    assert found["same prompt"]["prompts"] == 10
    assert "easy" not in found


def test_a_single_prompt_has_a_value_but_no_interval():
    small_table = small(responses=2)
    found = forking_entropies(small_table, prompt_sample(small_table.responses))
    assert found["all"]["wrong"] == {
        "value": pytest.approx(2.0),
        "low": None,
        "high": None,
        "why": "a single prompt says nothing of others",
    }
    assert (
        "not decided, a single prompt says nothing of others"
        in plain_words({"forking_entropy": found, "groups": {}})[0]
    )


def test_without_wrong_responses_nothing_is_compared():
    small_table = small()
    right = small_table.responses.assign(answer="correct")
    with pytest.raises(LeftOut, match="no wrong responses"):
        forking_entropies(type(small_table)(right, small_table.tokens, {}, False), prompt_sample(right))


def test_intervals_are_the_same_every_time_and_as_wide_as_the_prompts_vary(table):
    sample, again = prompt_sample(table.responses), prompt_sample(table.responses)
    value = table.responses["tokens"].to_numpy(float)
    one = np.ones(len(value))
    assert sample.ratio(value, one, "token") == again.ratio(value, one, "token")
    draw = np.random.default_rng(1)
    by_prompt = draw.normal(size=40)[table.responses["prompt_id"]]
    interval = sample.ratio(by_prompt, one, "token")
    assert interval.high - interval.low == pytest.approx(4 / np.sqrt(40), rel=0.4)  # 40 prompts, not 160 responses
    assert sample.described == "95 % intervals over 40 prompts"


def test_parts_of_the_entropy_change_add_to_the_covariance(table):
    shares = gradient_sources(table)
    for step, rows in shares.groupby("step"):
        update = table.tokens[table.tokens["step"] == step]
        log_prob, advantage = update["log_prob"].to_numpy(), update["advantage"].to_numpy()
        covariance = np.mean(log_prob * advantage) - log_prob.mean() * advantage.mean()
        assert rows["covariance"].iloc[0] == pytest.approx(covariance)
        assert rows["entropy_change_share"].abs().sum() == pytest.approx(1)
        centred = (log_prob - log_prob.mean()) * (advantage - advantage.mean()) / len(update)
        parts = [centred[update["group"] == number].sum() for number in range(1, 9)]
        assert rows["entropy_change_share"].tolist() == pytest.approx([-p / np.abs(parts).sum() for p in parts])
        assert rows["token_share"].sum() == pytest.approx(1)
        pull = (update["weight"] * update["advantage"]).abs()
        expected = [pull[update["group"] == number].sum() / pull.sum() for number in range(1, 9)]
        assert rows["weight_share"].tolist() == pytest.approx(expected)


def test_the_vocabulary_has_a_floor_and_no_token_at_both_ends(table):
    vocabulary = token_vocabulary(table, 20)
    assert set(vocabulary.highest["token"]).isdisjoint(vocabulary.lowest["token"])
    assert vocabulary.highest["count"].min() >= 20
    assert vocabulary.highest["mean_entropy"].is_monotonic_decreasing
    assert vocabulary.lowest["mean_entropy"].is_monotonic_increasing
    assert {"Therefore", "However", "Suppose"} <= set(vocabulary.highest["token"][:10])
    with pytest.raises(LeftOut, match="lower --min_count"):
        token_vocabulary(table, 10**6)


def test_a_share_of_no_tokens_is_a_stated_absence():
    columns = {
        "prompt": ["p"] * 2,
        "response": [" so"] * 2,
        "tokens": [[" so"]] * 2,
        "entropy": [[1.0]] * 2,
        "correct": [True, False],
        "group_accuracy": [0.5] * 2,
    }
    table = build(pa.table(columns), {})
    sample = prompt_sample(table.responses)
    found = {"logic_words": logic_shares(table, WordTable(table, read_logic_words()), sample)}
    assert plain_words(found) == [
        "High-entropy tokens begin a logic word more often than low-entropy ones: not decided, no low-entropy token. "
        "Of 2 high-entropy tokens 100.0% (no interval: a single prompt says nothing of others), of 0 "
        "low-entropy ones not computed: no low-entropy token."
    ]


def test_shares_of_a_gradient_that_is_zero_are_a_stated_absence():
    columns = {name: [[-1.0, -1.0]] * 2 for name in ("log_prob", "entropy")}
    columns |= {"prompt": ["p"] * 2, "response": ["ab"] * 2, "tokens": [["a", "b"]] * 2, "correct": [True, False]}
    columns |= {"group_accuracy": [0.5] * 2, "advantage": [0.0] * 2, "weight": [[1.0, 1.0]] * 2, "step": [1, 1]}
    found = overall(gradient_sources(build(pa.table(columns | {"run": [0, 0]}), {})))
    assert found["G2"] == {"token_share": 0.5, "weight_share": None, "entropy_change_share": None}
    lines = plain_words({"gradient_sources": found, "groups": PARTITION})
    assert lines == [
        "Each group's share of the gradient: not computed: w A is 0 for every token.",
        "Each group's share of the predicted entropy change: not computed: within an update all tokens have the same "
        "log-probability or the same advantage.",
    ]
