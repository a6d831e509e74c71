"""The part of verl's driver that keeps records: metrics of every step, and `+htpo.output_dir`."""

from collections.abc import Mapping, Sequence
from typing import Any

from htpo.engines.verl import rollouts
from htpo.engines.verl.batch_fields import field_of
from htpo.engines.verl.configuration import changed_options, checkpoint_to_load
from htpo.engines.verl.draw_limit import DrawLimit
from htpo.engines.verl.group_facts import GroupFacts
from htpo.engines.verl.held_out import Validation
from htpo.engines.verl.plan import filtered_by
from htpo.engines.verl.records import RunRecords
from htpo.engines.verl.settings import Settings
from htpo.engines.verl.step_metrics import Answer, join_rows, step_metrics
from htpo.objectives.axes import Cuts
from htpo.playing.verdicts import EPISODE

_Host: Any = object  # in a trainer mode, one of verl's V1 trainers comes after the mixin


class Recording(_Host):
    """A mixin before one of verl's V1 trainers, for one that has `settings` and counts what is drawn in `draws`."""

    settings: Settings
    draws: DrawLimit
    records: RunRecords | None  # None without an output_dir

    def prepare_records(self, config: dict[str, Any]) -> None:
        """Refuse an output_dir that cannot be used, before anything is loaded.

        Args:
            config: verl's whole configuration, as plain data.
        """
        self.records = None
        if self.settings.output_dir is not None:
            checkpoint = checkpoint_to_load(config)
            self.records = RunRecords(self.settings, config, {"engine": "verl", **changed_options(config)}, checkpoint)
        self._plain_config = config
        self._answers: list[Answer] = []  # of the step under way

    def on_init_end(self) -> None:
        """Called when workers and models are there, and the checkpoint is loaded."""
        super().on_init_end()
        if self.records is not None:
            prompts, held_out = len(self.train_dataset), len(self.val_dataset)
            self.records.begin(self.global_steps, prompts=prompts, held_out=held_out)

    def record_batch(self, batch: Any, extra: Sequence[Mapping[str, Any]], facts: GroupFacts, cuts: Cuts) -> None:
        """A batch is about to be trained on. Rollouts are those of a step's first: of later ones the policy has moved.

        Args:
            extra: verl's `extra_fields` of its rows.
            facts: of its rows.
            cuts: thresholds over the whole batch.
        """
        import transfer_queue as tq

        fields = ["rm_scores", "loss_mask"]
        data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=fields)
        rewards = [row.sum().item() for row in data["rm_scores"].unbind()]
        tokens = [int(row.sum()) for row in data["loss_mask"].unbind()]
        limit = self.config.data.max_response_length
        rows = {}
        for number, (key, tag) in enumerate(zip(batch.keys, batch.tags, strict=True)):
            if not tag.get("is_padding", False):
                info = extra[number].get("reward_extra_info") or {}
                rows[key] = Answer(
                    prompt=key.rsplit("_", 2)[0],
                    correct=bool(facts.correct[number]),
                    reward=rewards[number],
                    tokens=tokens[number],
                    cut_off=not info.get("finished", tag["response_len"] < limit),
                    measured=(extra[number].get(EPISODE) or {}).get("measured"),
                )
        first = not self._answers
        self._answers += join_rows(rows)
        if self.records is not None:
            if first and self.records.wants_rollouts(self.global_steps):
                trained_on = [count > 0 and key in rows for key, count in zip(batch.keys, tokens)]
                self.records.rollouts(self._rollouts(batch, trained_on, facts, cuts))
            self.records.trained_on(len(batch))

    def _rollouts(self, batch: Any, trained_on: Sequence[bool], facts: GroupFacts, cuts: Cuts) -> list[dict[str, Any]]:
        import transfer_queue as tq

        seed = (self.config.data.get("seed") or 0, self.global_steps)
        chosen = rollouts.choose(batch.keys, trained_on, self.settings.rollouts_kept, seed)
        keys = [batch.keys[row] for row in chosen]
        fields = [*rollouts.FIELDS, *map(field_of, self.settings.objective.reads)]
        data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=fields)
        return rollouts.rollouts_of(
            keys,
            {name: _plain(data, name, len(keys)) for name in fields},
            GroupFacts(facts.correct[chosen], facts.group_accuracy[chosen]),
            self.settings.objective,
            cuts,
            self.tokenizer,
        )

    def _compute_metrics(
        self, batch: Any, metrics: dict[str, Any], timing_raw: Any, global_steps: int, epoch: int
    ) -> None:
        super()._compute_metrics(batch, metrics, timing_raw, global_steps, epoch)
        draws, by = self.draws, filtered_by(self._plain_config)
        metrics.update(
            step_metrics(self._answers, drawn=draws.drawn, right=draws.right, wrong=draws.wrong, filtered_by=by)
        )
        self._answers = []
        if self.records is not None:
            self.records.step(metrics)

    # --- held-out problems -----------------------------------------------------------------------------------------

    def _build_replay_buffer(self) -> Any:
        buffer = super()._build_replay_buffer()
        sample = buffer.sample

        def seen(*args: Any, **named: Any) -> Any:
            batch, metrics = sample(*args, **named)
            if batch.partition_id == "val":
                self._validation.see_rows(batch.keys, [tag["response_len"] for tag in batch.tags])
            return batch, metrics

        buffer.sample = seen
        return buffer

    def _validate(self) -> dict[str, Any]:
        self._validation = Validation(self.config.data.max_response_length, self.settings.correctness_threshold)
        return super()._validate()

    def _maybe_log_val_generations(self, inputs: list[str], outputs: list[str], scores: list[float]) -> None:
        self._validation.texts = list(zip(inputs, outputs, strict=True))
        super()._maybe_log_val_generations(inputs, outputs, scores)

    def _val_metrics_update(
        self, sources: Any, uids: Any, infos: dict[str, list[Any]], *args: Any, **options: Any
    ) -> Any:
        metrics = super()._val_metrics_update(sources, uids, infos, *args, **options)
        asked = {uid: samples for (_, uid), samples in options["expected_acc_counts"].items()}
        rates = self._validation.pass_rates(uids, infos, asked)
        if rates is None:
            return metrics
        if self.records is not None:
            last = self.global_steps >= self.total_training_steps
            self.records.measured(rates, last=last)
        return {**metrics, "held_out/pass@1": rates.pass_at(1)}

    # --- the end ---------------------------------------------------------------------------------------------------

    def fit(self, agent_loop_manager: Any) -> None:
        """Train to the end."""
        super().fit(agent_loop_manager)
        if self.records is not None:
            self.records.finish(min(self.global_steps, self.total_training_steps))


def _plain(data: Any, name: str, rows: int) -> Any:
    """A field of verl's batch: padded, or a list of each row's. None in each where there is no such field."""
    if name not in data:
        return [None] * rows
    value = data[name]
    if name == "prompts":
        return [row.tolist() for row in value.unbind()]
    if hasattr(value, "to_padded_tensor"):
        return value.to_padded_tensor(0) if value.is_nested else value
    return [getattr(row, "data", row) for row in value]
