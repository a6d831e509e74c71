"""The part of verl's driver: facts of whole prompt groups go with the batch, the objective's loss to the workers."""

from collections.abc import Mapping
from typing import Any, ClassVar

from htpo.engines.verl.batch_fields import PER_TOKEN, batch_fields, cut_names
from htpo.engines.verl.draw_limit import DrawLimit
from htpo.engines.verl.group_facts import GroupFacts, group_facts, verdict_of
from htpo.engines.verl.loss import LOSS_MODE, ObjectiveLoss, read_sums
from htpo.engines.verl.settings import read_settings, refuse_other_versions

_Host: Any = object  # in a trainer mode, one of verl's V1 trainers comes after the mixin


class ObjectiveTrainer(_Host):
    """A mixin before one of verl's V1 trainers, which stays as it is otherwise."""

    host_mode: ClassVar[str]  # that trainer's own name: verl branches on it

    def __init__(self, config: Any):
        import verl
        from omegaconf import OmegaConf, open_dict

        refuse_other_versions(verl.__version__)
        plain = OmegaConf.to_container(config, resolve=True)
        self.settings = settings = read_settings(plain)
        self.draws = DrawLimit(
            settings.max_generation_rounds, plain["data"]["train_batch_size"], settings.correctness_threshold
        )
        with open_dict(config):
            config.trainer.v1.trainer_mode = self.host_mode
        super().__init__(config)

    def _build_replay_buffer(self) -> Any:
        from verl.trainer.ppo.v1.replay_buffer import DAPO_FILTERED_REWARD_COUNTS_KEY

        buffer = super()._build_replay_buffer()
        evict = buffer._evict_terminal_groups

        def counted(*args: Any) -> Any:
            *evicted, metrics = evict(*args)
            self.draws.leave_out(metrics.get(DAPO_FILTERED_REWARD_COUNTS_KEY, {}))
            return *evicted, metrics

        buffer._evict_terminal_groups = counted
        return buffer

    def prepare_step(self) -> Any:
        """Called before a step's prompts are drawn."""
        self.draws.start()
        return super().prepare_step()

    def _add_prompts_to_generate(self, num_prompts: int) -> Any:
        self.draws.draw(num_prompts)
        return super()._add_prompts_to_generate(num_prompts)

    def on_init_end(self) -> None:
        """Called when workers and models are there."""
        from omegaconf import OmegaConf
        from verl.utils.config import omega_conf_to_dataclass

        actor = OmegaConf.create(OmegaConf.to_container(self.config.actor_rollout_ref.actor, resolve=True))
        actor.policy_loss.loss_mode = LOSS_MODE
        loss = ObjectiveLoss(omega_conf_to_dataclass(actor), self.settings.objective, self.settings.entropy_of)
        self.actor_rollout_wg.set_loss_fn(loss)
        super().on_init_end()

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        import transfer_queue as tq
        from tensordict import TensorDict

        batch = super()._compute_advantage(batch, metrics)  # which may take tokens out of the mask
        objective = self.settings.objective
        needed = ["extra_fields", *(PER_TOKEN if cut_names(objective) else ())]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=needed)
        extra = [getattr(value, "data", value) for value in data.pop("extra_fields")]
        per_token = data.to_padded_tensor() if cut_names(objective) else None
        added = batch_fields(objective, self._facts(batch, extra), per_token)
        fields = TensorDict(added, batch_size=len(batch))
        return tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)

    def _facts(self, batch: Any, extra: list[Mapping[str, Any]]) -> GroupFacts:
        padding = [bool(tag.get("is_padding", False)) for tag in batch.tags]
        threshold = self.settings.correctness_threshold
        verdicts = [not added and verdict_of(row, threshold) for row, added in zip(extra, padding, strict=True)]
        return group_facts(batch.keys, verdicts, padding)

    def _update_actor(self, batch: Any, metrics: dict[str, Any]) -> Any:
        batch = super()._update_actor(batch, metrics)
        metrics.update({name: value.item() for name, value in read_sums(metrics, "actor/").items()})
        return batch
