"""Rollouts that are kept come from the whole update, with what was said of each."""

from collections import Counter

import numpy as np
import pyarrow.compute as pc
import pytest
import torch

from htpo.engines.judging import Judgement
from htpo.engines.recording import draw_rows
from htpo.engines.trl.judgements import FIELDS, pack, unpack
from htpo.verifiers import Verdict
from tests.engines.trl.kept_rollouts import train_and_keep


@pytest.fixture(scope="module")
def kept(tiny_model, tmp_path_factory):
    run = train_and_keep(tiny_model, tmp_path_factory.mktemp("kept"))
    return run.read_rollouts()


def test_as_many_as_asked_for_are_kept_of_every_update(kept):
    assert kept["step"].value_counts().to_pylist() == [{"values": 1, "counts": 32}, {"values": 2, "counts": 32}]


def test_prompts_are_kept_with_all_their_responses_beside_each_other(kept):
    numbers = kept["prompt_id"].to_pylist()
    assert all(len({*numbers[start : start + 4]}) == 1 for start in range(0, 64, 4))
    assert len({*numbers}) == 16
    assert [f"{number}+{number}=" for number in numbers] == kept["prompt"].to_pylist()


def test_each_row_has_gold_answer_and_failure(kept):
    for row in kept.to_pylist():
        assert row["gold"] == str(2 * row["prompt_id"])
        assert row["answer"] == row["response"][-1]
        assert row["failure"] == (None if row["response"][-1].isdigit() else "unparsable")
        assert row["correct"] == (ord(row["response"][-1]) % 2 == 0)
    assert 0 < pc.count(kept["failure"]).as_py() < 64


def test_fewer_are_whole_prompts_drawn_by_seed_and_update(tiny_model, tmp_path, kept):
    ten = [train_and_keep(tiny_model, tmp_path / name, kept=10).read_rollouts() for name in ("one", "two")]
    assert ten[0].equals(ten[1])
    first = ten[0].filter(pc.equal(ten[0]["step"], 1))
    assert sorted(Counter(first["prompt_id"].to_pylist()).values()) == [2, 4, 4]
    everything = {(row["prompt_id"], row["response"]) for row in kept.filter(pc.equal(kept["step"], 1)).to_pylist()}
    assert {(row["prompt_id"], row["response"]) for row in first.to_pylist()} <= everything


@pytest.mark.parametrize(("kept", "sizes"), [(0, []), (3, [3]), (4, [4]), (7, [3, 4]), (100, [4, 4, 4])])
def test_whole_prompts_come_first_and_what_is_left_is_filled(kept, sizes):
    prompts = [[(prompt, sample) for sample in range(4)] for prompt in range(3)]
    drawn = draw_rows(prompts, kept, np.random.default_rng(0))
    assert sorted(Counter(prompt for prompt, _ in drawn).values()) == sizes
    assert len({*drawn}) == len(drawn)


def test_judgements_survive_the_way_through_a_tensor():
    said = [
        Judgement(Verdict(False, extracted, failure), gold)
        for gold, extracted, failure in [
            ("π/2", None, "timeout"),
            (None, "x" * 5000, None),
            ("half \ud800", "</script>", None),
        ]
    ]
    packed = pack(said, torch.device("cpu"))
    assert (packed.dtype, len(packed)) == (torch.uint8, 3)
    unknown = dict.fromkeys(FIELDS)
    assert unpack(packed[0]) == unknown | {"gold": "π/2", "failure": "timeout"}
    assert unpack(packed[1])["answer"] == "x" * 1999 + "…"
    assert unpack(packed[2]) == unknown | {"gold": "half ?", "answer": "</script>"}


def test_reward_functions_that_say_nothing_leave_it_open():
    assert unpack(pack([None, None], torch.device("cpu"))[1]) == dict.fromkeys(FIELDS)
