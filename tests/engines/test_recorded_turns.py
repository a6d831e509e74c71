"""What a rollout keeps of an episode's turns."""

import pytest
import torch
from transformers import AutoTokenizer

from htpo.engines.recording import rollout
from htpo.objectives import TokenBatch, make_objective

TURN = torch.tensor([[1, 1, 2, 0, 0, 4, 0]])  # nothing is shown after the first, and nothing sampled in the third


@pytest.mark.parametrize(
    ("turn", "tokens", "shown"), [(TURN.int(), [2, 1, 0, 1], ["", "bb", ""]), (None, [3, 1], ["bb"])], ids=str
)
def test_turns_are_those_of_the_batch_or_else_what_is_sampled_in_one_go(tiny_model, turn, tokens, shown):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    zeros, one = torch.zeros(1, 7), torch.ones(1)
    batch = TokenBatch(zeros, zeros, one, zeros, mask=TURN > 0, correct=one > 0, group_accuracy=one, turn=turn)
    ids = torch.tensor(tokenizer("aaabbac")["input_ids"])
    said = {"actions": ["a"], "invalid": [False]}
    outcome = make_objective("htpo")(batch)
    kept = rollout(0, batch, outcome, tokenizer, prompt=[], response=ids, prompt_id=1, reward=0.0, said=said)
    assert kept["turn_tokens"] == tokens
    assert kept["shown"] == shown
    assert kept["response"] == "aaaa"
