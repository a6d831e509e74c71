"""The driver's part on rows as verl keeps them, in its TransferQueue: sessions of several rows, padding that verl adds,
verdicts in both of their places."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from htpo.engines.verl.batch_fields import CORRECT, CUTS, GROUP_ACCURACY, PER_TOKEN, cut_names, field_of
from htpo.engines.verl.settings import read_settings
from htpo.errors import UserError
from htpo.objectives import make_objective
from htpo.playing.verdicts import EPISODE
from tests.engines.verl.worker import (
    as_token_batch,
    configuration,
    loss_of,
    make_rollouts,
    nested,
    start_processes,
    start_worker,
    train_once,
    with_turns,
)

pytestmark = [pytest.mark.verl, pytest.mark.ray]

KEYS = ["a_0_0", "b_0_0", "a_1_0", "a_1_1", "b_1_0", "a_2_0", "b_2_0", "b_3_0", "a_3_0"]
RIGHT = {"a_1_1", "b_0_0", "b_1_0", "b_2_0"}  # and so session 1 of prompt a, of two rows, by its last
ACCURACY = {"a": 1 / 4, "b": 3 / 4, "pad": 0.0}


@pytest.fixture(scope="module", autouse=True)
def _queue():
    start_processes()
    import ray
    import transfer_queue as tq

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    units = "transfer_queue.backend.SimpleStorage.num_data_storage_units=1"
    tq.init(configuration("transfer_queue.enable=True", units).transfer_queue)
    yield
    tq.close()
    ray.shutdown()


def driver(colocated: bool = False):
    """verl's synchronous trainer with htpo over the whole batch's entropies, without its workers."""
    from omegaconf import OmegaConf
    from verl.trainer.ppo.v1 import get_trainer_cls

    trainer = object.__new__(get_trainer_cls("htpo_sync"))
    trainer.config = configuration(
        "actor_rollout_ref.rollout.n=4",
        "actor_rollout_ref.actor.ppo_mini_batch_size=1",
        "algorithm.adv_estimator=grpo",
        "+htpo.entropy_of=old",
        "+htpo.entropy_scope=batch",
    )
    trainer.settings = read_settings(OmegaConf.to_container(trainer.config, resolve=True))
    trainer.cut_names, trainer.per_token = cut_names(trainer.settings.objective), PER_TOKEN
    trainer.record_batch = lambda *recorded: None
    trainer.use_critic, trainer.global_steps = False, 1
    trainer.tokenizer = SimpleNamespace(eos_token_id=1)
    trainer.actor_rollout_wg = SimpleNamespace(_dispatch_info={"actor": [0]})
    trainer.reward_loop_manager = SimpleNamespace(reward_loop_worker_handles=None if colocated else [])
    return trainer


def put(rollouts, said: str | None = "extra_fields", played: bool = False):
    """The rows as verl's agent loops put them, one by one.

    Args:
        said: field with the verdicts; None: there are none.
        played: whether the responses are episodes.
    """
    import transfer_queue as tq
    from transfer_queue import KVBatchMeta
    from verl.utils.tensordict_utils import get_tensordict, list_of_dict_to_tensordict

    rows, tags = [], []
    for row, key in enumerate(KEYS):
        prompt, response = torch.tensor(rollouts.prompts[row]), torch.tensor(rollouts.responses[row])
        right, mask = float(key in RIGHT), torch.tensor(rollouts.known[row].mask).long()
        reward = torch.zeros(len(response))
        reward[-1] = right
        info = {"reward_extra_info": {"acc": right}} if said == "extra_fields" else {}
        if played:
            info = {**info, EPISODE: {"turn": rollouts.known[row].turn}}
        both = torch.cat([prompt, response])
        rows.append(
            {
                "uid": key.split("_")[0],
                "prompts": prompt,
                "responses": response,
                "input_ids": both,
                "position_ids": torch.arange(len(both)),
                "response_mask": mask,
                "loss_mask": mask,
                "rm_scores": reward,
                "rollout_log_probs": torch.tensor(rollouts.known[row].old_log_prob),
                "extra_fields": info,
            }
        )
        tags.append({"seq_len": len(both)})
    tq.kv_batch_put(keys=KEYS, partition_id="train", fields=list_of_dict_to_tensordict(rows), tags=tags)
    if said == "acc":
        own = get_tensordict({"acc": np.array([float(key in RIGHT) for key in KEYS])})
        tq.kv_batch_put(keys=KEYS, partition_id="train", fields=own)
    return KVBatchMeta(partition_id="train", keys=list(KEYS), tags=tags)


def settled(trainer, rollouts, batch):
    """The batch after the steps of verl's driver that lead to an update; its workers' part is `rollouts`."""
    import transfer_queue as tq
    from tensordict import TensorDict

    batch = trainer._balance_batch(batch, metrics={})
    known = [rollouts.known[KEYS.index(key)] if key in KEYS else None for key in batch.keys]
    fields = {
        "old_log_probs": nested([torch.tensor(row.old_log_prob if row else [0.0]) for row in known]),
        "entropy": nested([torch.tensor(row.entropy if row else [99.0]) for row in known]),
    }
    tq.kv_batch_put(keys=batch.keys, partition_id="train", fields=TensorDict(fields, batch_size=len(batch)))
    return trainer._compute_advantage(batch, {})


def got(keys: list[str]):
    import transfer_queue as tq

    return tq.kv_batch_get(keys=keys, partition_id="train")


@pytest.fixture(autouse=True)
def _empty():
    import transfer_queue as tq

    yield
    tq.kv_clear(keys=[*tq.kv_list("train")["train"]], partition_id="train")


@pytest.fixture(scope="module")
def rollouts(tiny_model):
    return make_rollouts(tiny_model, rows=12).rows(list(range(len(KEYS))))


@pytest.mark.parametrize("said", ["extra_fields", "acc"])
def test_facts_are_of_whole_sessions_wherever_the_verdict_is(rollouts, said):
    trainer = driver(colocated=said == "acc")
    batch = settled(trainer, rollouts, put(rollouts, said))
    assert len(batch.keys) == 12, "verl adds three rows to make three mini-batches of four"
    data = got(batch.keys)
    for key, correct, accuracy in zip(batch.keys, data[CORRECT], data[GROUP_ACCURACY]):
        uid = key.split("_")[0] if key in KEYS else "pad"
        assert bool(correct) == (key in RIGHT or key == "a_1_0")
        assert accuracy == pytest.approx(ACCURACY[uid])
    # Thresholds are those of the rows that are no padding, whose entropy is far above all others.
    known = as_token_batch(rollouts.rows([KEYS.index(key) for key in batch.keys if key in KEYS]))
    cuts = torch.stack([*data[CUTS]])
    assert torch.equal(cuts, cuts[:1].expand_as(cuts))
    assert cuts.max() <= known.entropy[known.mask].max() + 1e-5


@pytest.mark.parametrize("colocated", [False, True])
def test_a_batch_without_verdicts_is_refused(rollouts, colocated):
    batch = put(rollouts, None)
    with pytest.raises(UserError, match="says no 'acc'"):
        settled(driver(colocated), rollouts, batch)


def test_turns_go_with_the_rows_of_episodes(rollouts):
    trainer, episodes = driver(), with_turns(rollouts)
    trainer.settings = replace(trainer.settings, objective=make_objective("htpo", entropy_scope="turn"))
    trainer.cut_names, trainer.per_token = [], ()
    batch = settled(trainer, episodes, put(episodes, played=True))
    for key, turns in zip(batch.keys, got(batch.keys)[field_of("turn")].unbind(), strict=True):
        if key in KEYS:
            assert turns.tolist() == episodes.known[KEYS.index(key)].turn
        else:
            assert not turns.any()


def test_the_gradient_is_that_of_the_rows_that_are_no_padding_however_they_are_cut(rollouts, tiny_model):
    trainer = driver()
    batch = settled(trainer, rollouts, put(rollouts))
    real = [key for key in batch.keys if key in KEYS]
    loss = loss_of(trainer.settings.objective, "old")
    assert loss.cut_names == cut_names(trainer.settings.objective)
    ways = [
        (batch.keys, "unpadded, cut in eight"),
        (batch.keys, "padded, cut in four"),
        (real, "unpadded, cut in eight"),
    ]
    gradients = [train_once(start_worker(tiny_model, layout), loss, ready(got(keys)))[0] for keys, layout in ways]
    whole, *others = gradients
    assert whole.norm() > 0
    for other in others:
        assert (whole - other).norm() < 1e-5 * whole.norm()


def ready(data):
    from verl.utils import tensordict_utils as tu

    data = data.clone().select(
        *("prompts", "responses", "input_ids", "position_ids", "response_mask", "loss_mask"),
        *("old_log_probs", "advantages", "entropy", CORRECT, GROUP_ACCURACY, CUTS),
    )
    tu.assign_non_tensor(data, temperature=1.0, calculate_entropy=True, compute_loss=True)
    return data
