"""Data and reward functions of the user's own that a trainer does not expect."""

import math

import pytest
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from htpo.engines.trl import HTPOTrainer
from htpo.errors import UserError
from tests.engines.tiny import config, length_reward, sums_dataset, trainer


def with_names(rows: int = 40) -> Dataset:
    return sums_dataset(rows).add_column("prompt_id", [f"sum {i}" for i in range(rows)])


def test_a_prompt_id_of_the_users_own_reaches_the_reward_function(tiny_model, tmp_path):
    seen = []

    def reward(prompts, completions, prompt_id, **kwargs):
        seen.extend(zip(prompts, prompt_id))
        return length_reward(completions)

    trainer(tiny_model, config(tmp_path), reward, train_dataset=with_names()).train()
    names = {f"{i}+{i}=": f"sum {i}" for i in range(40)}
    assert len(seen) >= 32
    assert all(names[prompt] == name for prompt, name in seen)


def test_evaluation_data_may_have_a_prompt_id(tiny_model, tmp_path):
    host = trainer(tiny_model, config(tmp_path), eval_dataset=with_names(16))
    assert 0 < host.evaluate()["eval_accuracy"] < 1


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_an_infinite_reward_counts_as_none(tiny_model, tmp_path, scale):
    def rewards_with(value):
        def bonus(completions, **kwargs):
            return [value if index % 5 == 0 else len(text) / 10 for index, text in enumerate(completions)]

        options = {"correctness_reward": "length_reward", "scale_rewards": scale, "overlong_buffer": 0}
        host = trainer(tiny_model, config(tmp_path, **options), [length_reward, bonus])
        host.train()
        logs = host.state.log_history[:2]
        return [(log["reward"], log["loss"], log["grad_norm"], log["rewards/bonus/mean"]) for log in logs]

    of_infinite = rewards_with(math.inf)
    assert all(math.isfinite(value) for log in of_infinite for value in log)
    assert of_infinite == rewards_with(None)


def test_too_few_prompts_for_a_batch_are_refused(tiny_model, tmp_path):
    host = trainer(tiny_model, config(tmp_path), train_dataset=sums_dataset(7))
    with pytest.raises(UserError, match="7 prompts but a generation batch needs 8"):
        host.train()


def test_an_empty_prompt_is_refused_with_its_row(tiny_model, tmp_path):
    rows = Dataset.from_dict({"prompt": ["1+1="] * 8 + [""]})
    with pytest.raises(UserError, match="row 9 of the training data has an empty prompt"):
        trainer(tiny_model, config(tmp_path), train_dataset=rows)


def test_a_name_of_two_reward_functions_names_none(tiny_model, tmp_path):
    with pytest.raises(UserError, match="'length_reward' is the name of several"):
        trainer(tiny_model, config(tmp_path, correctness_reward="length_reward"), [length_reward, length_reward])


def test_weights_are_counted_without_the_functions_we_add(tiny_model, tmp_path):
    with pytest.raises(UserError, match="reward_weights has 3 numbers, needs one for each of the 1 reward functions"):
        trainer(tiny_model, config(tmp_path, reward_weights=[1.0, 2.0, 3.0]))


def test_a_tokenizer_that_cannot_pad_is_refused(tiny_model, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.pad_token = tokenizer.eos_token = None
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    with pytest.raises(UserError, match="set its pad_token"):
        HTPOTrainer(model, length_reward, config(tmp_path), train_dataset=sums_dataset(), processing_class=tokenizer)
