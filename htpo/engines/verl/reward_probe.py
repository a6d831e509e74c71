"""Whether a reward function says `acc`, asked before models are loaded and anything is sampled."""

import logging
from collections.abc import Mapping
from typing import Any

from htpo.engines.verl.group_facts import verdict_of
from htpo.engines.verl.reward import REWARD_MANAGER
from htpo.errors import UserError

log = logging.getLogger(__name__)


def refuse_without_verdict(config: Any, tokenizer: Any, row: Mapping[str, Any]) -> None:
    """Have verl's reward manager judge one answer, which says nothing, and raise UserError if it gives no verdict.

    A reward function that fails on such an answer is left for the first batch to judge. So is one that asks a reward
    model, which is not there yet. Our own manager always gives one.

    Args:
        config: verl's whole configuration.
        row: of the training data, as verl's dataset gives it.
    """
    reward = config.reward
    if reward.reward_model.enable:
        if reward.custom_reward_function.path is None:
            raise UserError(
                "a reward model by itself says no 'acc' (correct or not): let a reward.custom_reward_function ask it "
                'and return {"score": ..., "acc": ...}'
            )
        return
    if reward.reward_manager.name == REWARD_MANAGER:
        return
    try:
        said = _judge(config, tokenizer, row)
    except Exception as error:
        log.warning("whether the reward function says 'acc' shows at the first batch: on an empty answer it %r", error)
        return
    verdict_of(said, threshold=0.0)


def _judge(config: Any, tokenizer: Any, row: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the agent loops of verl get of an answer that is only its end."""
    import numpy as np
    import torch
    from tensordict import TensorDict
    from verl import DataProto
    from verl.trainer.ppo.reward import load_reward_manager

    end = torch.tensor([[tokenizer.eos_token_id]])
    both = torch.cat([end, end], 1)
    tensors = {"prompts": end, "responses": end, "input_ids": both, "attention_mask": torch.ones_like(both)}
    columns = {name: np.empty(1, dtype=object) for name in [*row, "__num_turns__", "tool_extra_fields"]}
    for name, value in {**row, "__num_turns__": 2, "tool_extra_fields": {}}.items():
        columns[name][0] = value
    manager = load_reward_manager(config, tokenizer)
    data = DataProto(TensorDict(tensors, batch_size=1), columns)
    return manager.loop.run_until_complete(manager.run_single(data))
