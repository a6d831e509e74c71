"""A model at hand as a generator: what it draws, where responses end, and what it leaves untouched."""

import pytest
import torch

from htpo.errors import UserError
from htpo.evaluate import SamplingOptions
from htpo.evaluate.generators.local import LocalOptions
from htpo.evaluate.generators.sampling import sample_batch, sampling_settings
from htpo.evaluate.generators.transformers_backend import TransformersBackend
from htpo.evaluate.generators.vocabulary import Request
from tests.engines.tiny import save_tiny_model
from tests.evaluate.generators.tiny import tiny_generator

OPTIONS = SamplingOptions(top_p=1.0, max_tokens=8, seed=3)
CHAT = [{"role": "user", "content": "1+1="}]


def drawn(generator, prompts=("1+1=",), samples=8, done=frozenset()):
    requests = [Request(p, s, prompt) for p, prompt in enumerate(prompts, 1) for s in range(1, samples + 1)]
    return [response for came in generator.generate("sums", requests, done) for response in came]


def test_sampling_is_seeded_and_leaves_the_callers_randomness_and_mode_alone(tiny_model):
    generators = [
        tiny_generator(tiny_model, SamplingOptions(top_p=1.0, max_tokens=8, seed=seed), batch_size=4)
        for seed in (0, 0, 1)
    ]
    for generator in generators:
        generator.model.train()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (drawn(generator, ["1+1=", "22+2="], samples=3) for generator in generators)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(generator.model.training for generator in generators)
    assert first == again == drawn(generators[0], ["1+1=", "22+2="], samples=3)
    assert first != other
    assert sorted(response.request.key for response in first) == [(p, s) for p in (1, 2) for s in (1, 2, 3)]
    assert [response.request.problem for response in first[:3]] == [2, 2, 2]  # the longest prompts come first


def test_prompts_of_like_length_go_together_the_longest_first(tiny_model):
    requests = [Request(n, 1, "1" * length) for n, length in enumerate((3, 9, 4, 8, 5, 7), start=1)]
    lists = list(tiny_generator(tiny_model, OPTIONS, batch_size=2).generate("sums", requests, set()))
    assert [[len(r.request.prompt) for r in came] for came in lists] == [[9, 8], [7, 5], [4, 3]]


def test_what_is_done_is_drawn_no_more_and_changes_nothing(tiny_model):
    generator = tiny_generator(tiny_model, OPTIONS, batch_size=4)
    every = drawn(generator, ["1+1=", "22+2="])
    done = {(2, 1), (2, 2), (2, 3), (2, 4), (1, 1)}
    assert drawn(generator, ["1+1=", "22+2="], done=done) == [r for r in every if r.request.key not in done]


def test_responses_end_with_the_first_end_of_sequence(tiny_model):
    made = tiny_generator(tiny_model, SamplingOptions(top_p=1.0, max_tokens=40), batch_size=10)
    end = made.tokenizer.eos_token_id
    settings = sampling_settings(made.model, made.tokenizer, made.sampling)
    sampled = sample_batch(made.model, made.tokenizer, made.tokenizer(["1+1="] * 64)["input_ids"], settings)
    ends = [ids for ids in sampled if end in ids]
    assert ends
    assert all(ids.index(end) == len(ids) - 1 for ids in ends)
    assert all(len(ids) == 40 for ids in sampled if ids not in ends)
    responses = drawn(made, samples=64)
    assert {response.tokens for response in responses if not response.finished} == {40}
    assert any(response.finished and response.tokens < 40 for response in responses)


def test_a_model_s_own_settings_do_not_change_the_sampling(tiny_model):
    plain, penalised = tiny_generator(tiny_model, OPTIONS), tiny_generator(tiny_model, OPTIONS)
    for name, value in {"repetition_penalty": 5.0, "min_p": 0.9, "top_k": 1, "no_repeat_ngram_size": 1}.items():
        setattr(penalised.model.generation_config, name, value)
    assert drawn(plain) == drawn(penalised)


def test_temperature_zero_is_greedy(tiny_model):
    greedy = tiny_generator(tiny_model, SamplingOptions(temperature=0.0, max_tokens=8))
    assert len({response.text for response in drawn(greedy, samples=3)}) == 1


def test_a_chat_template_gets_its_options_and_is_stored_as_it_was_sent(tmp_path):
    path = save_tiny_model(tmp_path, "{{ mark }}{% for m in messages %}{{ m.content }}{% endfor %}")
    marked = drawn(tiny_generator(path, OPTIONS, template_options={"mark": "7"}), [CHAT])
    text, unmarked = drawn(tiny_generator(path, OPTIONS), ["71+1="]), drawn(tiny_generator(path, OPTIONS), [CHAT])
    assert marked[0].sent == text[0].sent == "71+1="
    assert [r.text for r in marked] == [r.text for r in text] != [r.text for r in unmarked]


def test_memory_that_is_not_enough_is_one_line_with_the_options_to_change(tiny_model, monkeypatch):
    def too_much(*arguments):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("htpo.evaluate.generators.model.sample_batch", too_much)
    generator = TransformersBackend(tiny_model, OPTIONS, None, LocalOptions(batch_size=5)).start()
    with pytest.raises(UserError, match="out of memory with --batch_size 5 and --max_tokens 8: go on with --resume"):
        drawn(generator)
