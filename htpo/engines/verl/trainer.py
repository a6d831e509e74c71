"""The part of verl's driver: facts of whole prompt groups go with the batch, the objective's loss to the workers."""

from collections.abc import Mapping
from typing import Any, ClassVar

from htpo.engines.verl.batch_fields import CUTS, PER_TOKEN, batch_fields, cut_names, cuts_of, episode_fields
from htpo.engines.verl.draw_limit import FAILED, TOO_OLD, DrawLimit
from htpo.engines.verl.group_facts import GroupFacts, group_facts, verdict_of
from htpo.engines.verl.loss import LOSS_MODE, ObjectiveLoss, read_sums
from htpo.engines.verl.nodes import refuse_lacking_nodes
from htpo.engines.verl.recording import Recording
from htpo.engines.verl.reward_metrics import batch_failure_shares, failure_shares
from htpo.engines.verl.reward_probe import refuse_without_verdict
from htpo.engines.verl.reward_settings import check_reward
from htpo.engines.verl.settings import read_settings, refuse_other_versions
from htpo.errors import UserError

EVICTED = {TOO_OLD: "training/off_policy/evicted_samples", FAILED: "training/rollout_failure/evicted_samples"}
"""By reason, verl's metric of prompts that it left out."""


class ObjectiveTrainer(Recording):
    """A mixin before one of verl's V1 trainers, which stays as it is otherwise."""

    host_mode: ClassVar[str]  # that trainer's own name: verl branches on it

    def __init__(self, config: Any):
        import verl
        from omegaconf import OmegaConf, open_dict

        refuse_other_versions(verl.__version__)
        refuse_lacking_nodes()
        plain = OmegaConf.to_container(config, resolve=True)
        self.settings = settings = read_settings(plain)
        check_reward(plain)
        self.draws = DrawLimit(
            settings.max_generation_rounds, plain["data"]["train_batch_size"], settings.correctness_threshold
        )
        self.cut_names = cut_names(settings.objective)
        self.per_token = PER_TOKEN if self.cut_names else ()
        self.prepare_records(plain)
        with open_dict(config):
            config.trainer.v1.trainer_mode = self.host_mode
        super().__init__(config)

    def _init_dataloader(self) -> None:
        """The first that has data, before there are models."""
        super()._init_dataloader()
        refuse_without_verdict(self.config, self.tokenizer, self.train_dataset[0])

    def _build_replay_buffer(self) -> Any:
        from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

        buffer = super()._build_replay_buffer()
        if not isinstance(buffer, ReplayBuffer):  # verl's `custom_sampler` has rules of its own
            return buffer
        evict, refill = buffer._evict_terminal_groups, buffer.refill_fn

        def counted(*args: Any) -> Any:
            *evicted, metrics = evict(*args)
            self._leave_out(metrics)
            return *evicted, metrics

        def limited(prompts: int) -> Any:
            self.draws.draw(prompts)
            return refill(prompts)

        buffer._evict_terminal_groups, buffer.refill_fn = counted, limited
        return buffer

    def _leave_out(self, evicted: Mapping[str, Any]) -> None:
        from verl.trainer.ppo.v1.replay_buffer import DAPO_FILTERED_REWARD_COUNTS_KEY

        self.draws.leave_out(evicted.get(DAPO_FILTERED_REWARD_COUNTS_KEY, {}))
        for reason, name in EVICTED.items():
            self.draws.leave_out_for(reason, evicted.get(name, 0))

    def prepare_step(self) -> Any:
        """Called before a step's prompts are drawn."""
        self.draws.start()
        return super().prepare_step()

    def step(self, metrics: dict[str, Any], timing_raw: dict[str, Any]) -> Any:
        """One step of verl's: several updates, in some modes each of a batch of its own."""
        batch = super().step(metrics, timing_raw)
        metrics.update({name: value.item() for name, value in read_sums(metrics, "actor/").items()})
        return batch

    def on_init_end(self) -> None:
        """Called when workers and models are there."""
        from omegaconf import OmegaConf
        from verl.utils.config import omega_conf_to_dataclass

        actor = OmegaConf.create(OmegaConf.to_container(self.config.actor_rollout_ref.actor, resolve=True))
        actor.policy_loss.loss_mode = LOSS_MODE
        loss = ObjectiveLoss(omega_conf_to_dataclass(actor), self.settings.objective, self.settings.entropy_of)
        self.actor_rollout_wg.set_loss_fn(loss)
        super().on_init_end()

    def _balance_batch(self, batch: Any, *args: Any, **options: Any) -> Any:
        if not len(batch):
            raise UserError("no answer to any of a batch's prompts got a reward: the log above says what failed first")
        return super()._balance_batch(batch, *args, **options)

    def _val_metrics_update(
        self, sources: Any, uids: Any, infos: dict[str, list[Any]], *args: Any, **options: Any
    ) -> Any:
        metrics = super()._val_metrics_update(sources, uids, infos, *args, **options)
        said = [{"failure": failure} for failure in infos.get("failure", [])]
        missing = sum((options.get("expected_acc_counts") or {}).values()) - len(said)
        return metrics | {f"val-aux/{name}": share for name, share in failure_shares(said, max(0, missing)).items()}

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        import transfer_queue as tq
        from tensordict import NonTensorData, TensorDict

        batch = super()._compute_advantage(batch, metrics)  # which may take tokens out of the mask
        # A reward model on the policy's devices judges all answers at once, and its verdicts get a field of their own.
        apart = ("acc",) if self.reward_loop_manager.reward_loop_worker_handles is None else ()
        reads = self.settings.objective.reads
        needed = ["extra_fields", *apart, *(self.per_token or (("response_mask",) if reads else ()))]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=needed)
        extra = [getattr(value, "data", value) for value in data.pop("extra_fields")]
        if apart and "acc" in data:
            verdicts = [acc.data if isinstance(acc, NonTensorData) else acc for acc in data.pop("acc")]
            extra = [{**row, "reward_extra_info": {"acc": acc}} for row, acc in zip(extra, verdicts, strict=True)]
        padding = [bool(tag.get("is_padding", False)) for tag in batch.tags]
        metrics.update(batch_failure_shares(batch.keys, extra, padding, self.config.actor_rollout_ref.rollout.n))
        played = {}
        if reads:
            lengths = data["response_mask"].offsets().diff().tolist()
            played = episode_fields(reads, extra, lengths, padding)
            data.update(played)
        per_token = data.to_padded_tensor() if self.per_token else None
        facts = self._facts(batch, extra, padding)
        added = batch_fields(self.settings.objective, facts, per_token) | played
        fields = TensorDict(added, batch_size=len(batch))
        batch = tq.kv_batch_put(keys=batch.keys, partition_id=batch.partition_id, fields=fields)
        self.record_batch(batch, extra, facts, cuts_of(self.cut_names, added.get(CUTS)))
        return batch

    def _facts(self, batch: Any, extra: list[Mapping[str, Any]], padding: list[bool]) -> GroupFacts:
        threshold = self.settings.correctness_threshold
        verdicts = [not added and verdict_of(row, threshold) for row, added in zip(extra, padding, strict=True)]
        return group_facts(batch.keys, verdicts, padding)
