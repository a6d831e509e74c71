"""What ends a response is one set everywhere: the tokenizer's, the generation config's and the model config's."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.errors import UserError
from htpo.evaluate.generators.end_tokens import end_tokens, published_end_tokens
from htpo.evaluate.generators.sampling import sample_batch, sampling_settings
from htpo.evaluate.generators.vocabulary import SamplingOptions
from tests.engines.tiny import config, save_tiny_model, trainer


@pytest.fixture
def model_without_its_tokenizers_end(tmp_path) -> Path:
    """The generation config ends at "7", the model config at "8", the tokenizer at <eos> (id 1)."""
    folder = Path(save_tiny_model(tmp_path / "model"))
    for name, end in (("generation_config.json", [10]), ("config.json", 11)):
        stored = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**stored, "eos_token_id": end}))
    return folder


def test_the_ends_are_those_of_all_three(model_without_its_tokenizers_end):
    folder = model_without_its_tokenizers_end
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert end_tokens(model, tokenizer) == [1, 10, 11]
    assert published_end_tokens(str(folder), tokenizer) == [1, 10, 11]
    settings = sampling_settings(model, tokenizer, SamplingOptions(top_p=1.0, max_tokens=200))
    sampled = sample_batch(model, tokenizer, tokenizer(["1+1="] * 64)["input_ids"], settings)
    assert {ids[-1] for ids in sampled} == {1, 10, 11}
    assert all(not {1, 10, 11} & set(ids[:-1]) for ids in sampled)


def test_training_ends_responses_where_measurement_does(model_without_its_tokenizers_end, tmp_path):
    args = config(tmp_path, max_completion_length=100, dynamic_sampling=False, max_steps=2)
    host = trainer(str(model_without_its_tokenizers_end), args)
    host.train()
    assert host.eos_token_ids == [1, 10, 11]
    assert host.state.log_history[0]["completions/clipped_ratio"] == 0
    assert end_tokens(host.model, host.processing_class) == [1, 10, 11]
    host.save_model(str(tmp_path / "saved"))
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert end_tokens(saved, host.processing_class) == [1, 10, 11]


def test_a_model_that_no_token_ends_is_refused(tmp_path):
    folder = Path(save_tiny_model(tmp_path / "model"))
    for name in ("generation_config.json", "config.json", "tokenizer_config.json"):
        stored = json.loads((folder / name).read_text())
        stored |= {key: None for key in ("eos_token_id", "eos_token", "pad_token") if key in stored}
        (folder / name).write_text(json.dumps(stored))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with pytest.raises(UserError, match="no token ends a response"):
        published_end_tokens(str(folder), tokenizer)
