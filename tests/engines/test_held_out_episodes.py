"""Held-out tasks of an environment, measured as `htpo eval` measures them."""

from types import SimpleNamespace

import pytest
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.engines.held_out import HeldOutProblems
from htpo.environments import EnvironmentWorkers
from htpo.playing.formats import PROMPT_FORMATS
from htpo.playing.player import Player
from htpo.playing.tasks import tasks_as_dataset
from htpo.playing.turn_tokens import TurnTokens


@pytest.mark.parametrize(
    ("max_tokens", "context", "given_up"),
    [(120, 500, 0.0), (14, 500, 0.0), (4, 500, 1.0), (120, 23, 0.0), (120, 13, 1.0)],  # "task 0 >" has 8 tokens
)
def test_the_oldest_turns_of_held_out_episodes_leave_before_one_is_given_up(tiny_model, max_tokens, context, given_up):
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_model), AutoModelForCausalLM.from_pretrained(tiny_model)
    model.config.max_position_embeddings = context
    options = SimpleNamespace(eval_samples=4, eval_temperature=1.0, eval_top_p=1.0)
    with EnvironmentWorkers("tests.engines.trl.worlds:EvenLength", workers=1) as worlds:
        player = Player(worlds, TurnTokens(PROMPT_FORMATS["compact"], tokenizer), 4, max_tokens)
        problems: Dataset = tasks_as_dataset(worlds.rows("train", 3, 0))
        rates = HeldOutProblems(options, None, None).success_rates(
            player, model, tokenizer, seed=0, problems=problems, progress=None
        )
    assert rates.truncated == given_up
    assert (rates.mean_length > 4) == (not given_up), "three turns each, which may not all fit together, or one"
