"""The base policies that ship with the puzzles: they can, but often do not."""

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.engines.job import BUILT_IN_POLICIES
from htpo.evaluate import ModelGenerator, SamplingOptions, measure_pass_rates
from htpo.tasks import PUZZLE_FAMILIES, DataOptions
from htpo.tasks.load import load_problems, load_task


@pytest.mark.parametrize("name", PUZZLE_FAMILIES)
def test_pass_at_1_is_low_and_pass_at_16_far_above(name):
    path = BUILT_IN_POLICIES[name]
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    [problems] = load_problems(DataOptions(dataset=name, held_out_prompts=128), seed=0)
    generator = ModelGenerator(model, tokenizer, SamplingOptions(top_p=1.0, max_tokens=32), batch_size=256)
    found = measure_pass_rates(problems, generator, samples=16)
    assert 0.15 < found.pass_at(1) < 0.35
    # Sampling differs between kinds of CPU. Over seeds pass@16 is 0.79 (countdown) to 0.88, with a deviation of 0.034.
    assert found.pass_at(16) > 0.65
    assert found.truncated < 0.02


@pytest.mark.parametrize("name", PUZZLE_FAMILIES)
def test_it_is_small_and_knows_every_character(name):
    path = BUILT_IN_POLICIES[name]
    assert (path / "model.safetensors").stat().st_size < 1.5e6
    tokenizer = AutoTokenizer.from_pretrained(path)
    for row in load_task(DataOptions(dataset=name, train_prompts=50, held_out_prompts=0)).train:
        ids = tokenizer(row["prompt"] + row["solution"])["input_ids"]
        assert len(ids) == len(row["prompt"] + row["solution"])
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == row["prompt"] + row["solution"]
