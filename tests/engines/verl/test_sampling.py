"""The rollout of verl on the CPU draws what is asked for."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from htpo.engines.verl.cpu.sampling import Sampling, sample_tokens

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13]]
END, PADDING = 1, 0


@pytest.fixture(scope="module")
def model(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()


def scores(model, prompt: list[int], tokens: list[int]) -> torch.Tensor:
    """Logits that each token was drawn from, (T, V), without batch or padding."""
    with torch.no_grad():
        return model(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]


def test_prompts_of_different_lengths_are_answered_together_as_each_alone(model):
    greedy = Sampling(max_tokens=12, temperature=0)
    together = sample_tokens(model, PROMPTS, greedy, [END], PADDING)
    for prompt, (tokens, _) in zip(PROMPTS, together):
        assert sample_tokens(model, [prompt], greedy, [END], PADDING)[0][0] == tokens
        assert scores(model, prompt, tokens).argmax(-1).tolist() == tokens


def test_log_probabilities_are_of_the_distribution_drawn_from(model):
    torch.manual_seed(0)
    for prompt, (tokens, log_probs) in zip(
        PROMPTS, sample_tokens(model, PROMPTS, Sampling(max_tokens=8, temperature=0.7), [END], PADDING)
    ):
        drawn_from = (scores(model, prompt, tokens) / 0.7).log_softmax(-1)
        expected = drawn_from.gather(1, torch.tensor(tokens).unsqueeze(1)).squeeze(1)
        assert torch.tensor(log_probs) == pytest.approx(expected, abs=1e-4)


def test_an_answer_ends_with_the_token_that_ends_it_unless_told_to_go_on(model):
    torch.manual_seed(0)
    drawn = sample_tokens(model, PROMPTS * 30, Sampling(max_tokens=12, temperature=3.0), [END], PADDING)
    ended = [tokens for tokens, _ in drawn if tokens[-1] == END]
    assert ended
    assert not [tokens for tokens, _ in drawn if END in tokens[:-1]]
    assert all(len(tokens) == 12 for tokens, _ in drawn if tokens[-1] != END)
    assert all(len(tokens) == len(log_probs) for tokens, log_probs in drawn)
    on = sample_tokens(model, PROMPTS * 30, Sampling(max_tokens=12, temperature=3.0, ignore_eos=True), [END], PADDING)
    assert {len(tokens) for tokens, _ in on} == {12}


def test_top_k_and_top_p_leave_tokens_out(model):
    for cut in ({"top_k": 1}, {"top_p": 1e-6}):
        drawn = sample_tokens(model, PROMPTS, Sampling(max_tokens=6, **cut), [END], PADDING)
        for prompt, (tokens, log_probs) in zip(PROMPTS, drawn):
            assert scores(model, prompt, tokens).argmax(-1).tolist() == tokens
            assert log_probs == pytest.approx([0.0] * len(tokens))


def test_the_same_seed_draws_the_same(model):
    def draw():
        torch.manual_seed(3)
        return sample_tokens(model, PROMPTS, Sampling(max_tokens=12), [END], PADDING)

    assert draw() == draw()


def test_what_verl_asks_for_is_read():
    asked = {"temperature": 0.7, "top_p": 0.9, "top_k": 20, "repetition_penalty": 1.0, "logprobs": True}
    assert Sampling.read(asked, 30) == Sampling(30, temperature=0.7, top_p=0.9, top_k=20)
    assert Sampling.read({"max_new_tokens": 7}, 30).max_tokens == 7
    assert Sampling.read({"max_tokens": 70}, 30).max_tokens == 30
    assert Sampling.read({"stop_token_ids": [4]}, -3) == Sampling(1, stop_token_ids=(4,))
    with pytest.raises(ValueError, match="knows no presence_penalty: leave it out"):
        Sampling.read({"presence_penalty": 1.0}, 30)
