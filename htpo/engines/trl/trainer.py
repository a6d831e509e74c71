"""`HTPOTrainer`: TRL's `GRPOTrainer` with its loss replaced by any objective of `htpo.objectives`."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from htpo.engines.handover import Handover
from htpo.engines.judging import Judge
from htpo.engines.trl.checkpoints import WholeCheckpoints
from htpo.engines.trl.config import HTPOConfig
from htpo.engines.trl.contract import check_loss, check_trl
from htpo.engines.trl.input_hooks import keep_one_input_hook
from htpo.engines.trl.sampling_entropy import OLD_ENTROPY
from htpo.engines.trl.token_batch import policy_mask, token_batch, whole_generation, whole_update
from htpo.errors import UserError
from htpo.objectives import Outcome, TokenBatch, add_sums, summarize
from htpo.objectives.axes import Cuts
from htpo.objectives.rules import LOG_RATIO_LIMIT

RolloutRecorder = Callable[[int, dict[str, Any], TokenBatch, Outcome, int, list[dict[str, Any]]], None]
"""Called with the optimiser step from 1, the host's inputs of this micro-batch, token batch, outcome, the micro-batch's
place in its update, and the inputs of all micro-batches that this process has of it."""


class NonFiniteError(UserError):
    """A log-probability, advantage or entropy of a policy token, or a gradient, is not finite: no update is made."""

    def __init__(self, step: int, what: str):
        super().__init__(
            f"step {step}: {what}. No update was made of it, and the checkpoint before is sound: start anew with a "
            "lower learning rate or a more exact dtype"
        )


class HTPOTrainer(WholeCheckpoints):
    """`GRPOTrainer` with a token-level objective by name (`args.objective`), so `objective="dapo"` is the same trainer.

    It changes three things and leaves the rest to TRL: correctness and each prompt's accuracy travel with the batch;
    prompts without signal are resampled (`args.dynamic_sampling`); TRL's loss is given the objective's gradient. With
    TRL's own clipping switched off that loss is -r A per token, its gradient -r A grad log_prob; handed w_t A_t / r for
    the advantage (w_t A_t grad log_prob is the gradient of every objective here, see `htpo.objectives.rules`) it has
    the objective's gradient exactly. The KL term, importance-sampling correction, auxiliary losses and the normaliser
    stay TRL's own code.

    Args:
        model, reward_funcs, args, **kwargs: as for `GRPOTrainer`; `args` is an `HTPOConfig`. The reward function that
            judges correctness is `args.correctness_reward`, or the only one: a value above `args.correctness_threshold`
            means correct; None or NaN means that the response is left out.
        judge: says instead what is correct. Reward functions then get its verdicts as `verdict`.
        player: has the policy play episodes of an environment; see `htpo.engines.trl.playing`. The training data then
            has a task in every row, and `judge` an `EpisodeVerifier`.
        rollout_recorder: called in every training micro-batch on every process; see `RolloutRecorder`.
    """

    _tag_names = ("trl", "htpo")
    _name = "HTPO"

    def __init__(
        self,
        model: Any,
        reward_funcs: Any,
        args: HTPOConfig,
        *,
        judge: Judge | None = None,
        rollout_recorder: RolloutRecorder | None = None,
        **kwargs: Any,
    ):
        check_trl()
        if not isinstance(args, HTPOConfig):
            raise TypeError(f"args must be an HTPOConfig, got {type(args).__name__}")
        self.objective = args.make_objective()
        self.rollout_recorder = rollout_recorder
        self._sums: dict[str, list[dict[str, Tensor]]] = {"train": [], "eval": []}
        self._batch_cuts: Cuts | None = None  # of the generation batch, by the sampling policy's entropy
        self._loss: Handover[dict[str, Any], tuple[TokenBatch, Outcome]] = Handover("the objective of the loss")
        self._generation_metrics: dict[str, float] = {}
        super().__init__(model, reward_funcs, args, judge=judge, **kwargs)
        keep_one_input_hook(self.accelerator.unwrap_model(self.model))
        self.epsilon_low = self.epsilon_high = math.inf  # the objective clips
        check_loss(self)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        rows = torch.arange(len(inputs), device=batch["completion_ids"].device)
        return {**batch, "row": rows + self.accelerator.process_index * len(inputs)}

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Any]:
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if not self.model.training:
            return inputs
        metrics = self._metrics["train"]
        if self._buffered_inputs is not before:
            generation = {name: values[-1] for name, values in metrics.items() if values}
            self._generation_metrics = {k: v for k, v in generation.items() if not k.startswith("held_out/")}
            self._count_updates()
            self._settle_batch_cuts()
        elif self._step % self.args.gradient_accumulation_steps == 0:
            for name, value in self._generation_metrics.items():
                metrics[name].append(value)  # so that every update's log shows the batch it was trained on
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _count_updates(self) -> None:
        """Give every micro-batch the exact token count of its update, over all micro-batches and processes.

        TRL spreads the count of the generation batch evenly over its updates; the value is scaled so that TRL's
        normaliser comes out as this update's own. `row_scale` is the same for the mean over responses: TRL counts
        every row, also those without tokens.
        """
        width = self.args.gradient_accumulation_steps
        masks = [policy_mask(micro) for micro in self._buffered_inputs]
        counts = torch.stack(
            [torch.stack([m.sum(), m.any(1).sum(), m.new_tensor(len(m), dtype=torch.long)]) for m in masks]
        )
        totals = self.accelerator.reduce(counts.view(-1, width, 3).sum(1), reduction="sum")
        for index, micro in enumerate(self._buffered_inputs):
            tokens, responses, rows = totals[index // width].unbind()
            micro["num_items_in_batch"] = tokens * (self.args.steps_per_generation / width)
            micro["row_scale"] = rows / responses.clamp(min=1)

    # --- loss ------------------------------------------------------------------------------------------------------

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        mode = "train" if self.model.training else "eval"
        cuts = self._cuts(mode, model, inputs) if self.objective.takes_batch_quantiles else None
        inputs = {**inputs, "cuts": cuts}
        loss, (batch, outcome) = self._loss.around(inputs, super()._compute_loss, model, inputs)
        self._refuse_nonfinite(inputs, batch, outcome)
        self._collect_metrics(mode, outcome)
        if mode == "train" and self.rollout_recorder is not None:
            index, update = self._update_under_way()
            self.rollout_recorder(self.state.global_step + 1, inputs, batch, outcome, index, update)
        return loss + self._value_gap(mode, inputs, batch, outcome)

    def _get_per_token_logps_and_entropies(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        scores = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        if self._loss.call is not None:
            self._loss.call.left.append(self._apply_objective(self._loss.call.given, scores[0], scores[1]))
        return scores

    def _apply_objective(self, inputs: dict[str, Any], log_prob: Tensor, entropy: Tensor) -> tuple[TokenBatch, Outcome]:
        """Put into `inputs` the advantage and ratio that make TRL's loss the objective's; see the class."""
        batch = token_batch(inputs, log_prob, entropy, seed=self.args.seed, step=self.state.global_step)
        outcome = self.objective(batch, inputs["cuts"])
        current = log_prob.detach()
        log_ratio = (current - batch.old_log_prob).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).masked_fill(~batch.mask, 0)
        inputs["old_per_token_logps"] = current - log_ratio
        ratio = torch.exp(current - inputs["old_per_token_logps"])  # as TRL will compute it
        inputs["advantages"] = outcome.slope / ratio * self._row_scale(inputs)
        return batch, outcome

    def _row_scale(self, inputs: dict[str, Any]) -> Tensor | float:
        return inputs.get("row_scale", 1.0) if self.loss_type == "grpo" else 1.0

    def _update_under_way(self) -> tuple[int, list[dict[str, Any]]]:
        """The micro-batch's place in its update, and all micro-batches that this process has of that."""
        place, width = self._step % self.args.steps_per_generation, self.args.gradient_accumulation_steps
        index = place % width
        return index, self._buffered_inputs[place - index : place - index + width]

    def _cuts(self, mode: str, model: Any, inputs: dict[str, Any]) -> Cuts | None:
        """Thresholds over the whole batch where it is cut up, which takes one more forward pass; else None.

        The batch is the update's in training, that of the step, over all processes, in evaluation. An update's are
        settled at its first micro-batch and travel with all of them, each of which takes its own once. Where the
        sampling policy's entropies are stored, it is the generation batch, and takes no pass; see `entropy_of`.
        """
        if OLD_ENTROPY in inputs:
            return self._batch_cuts if mode == "train" else self._cuts_by_old_entropy([inputs])
        if mode == "eval":
            return self._cuts_over(model, [inputs])
        index, update = self._update_under_way()
        if index == 0:
            cuts = self._cuts_over(model, update)
            for micro in update:
                micro["cuts"] = cuts
        return update[index].pop("cuts")

    def _cuts_over(self, model: Any, micro_batches: list[dict[str, Any]]) -> Cuts | None:
        if len(micro_batches) == 1 and self.accelerator.num_processes == 1:
            return None

        def score(micro: dict[str, Any]) -> tuple[Tensor, Tensor]:
            input_ids, attention_mask = (
                torch.cat([micro[f"prompt_{name}"], micro[f"completion_{name}"]], dim=1) for name in ("ids", "mask")
            )
            with self.in_its_contexts(micro):
                scores = self._get_per_token_logps_and_entropies(
                    model, input_ids, attention_mask, micro["completion_ids"].shape[1], compute_entropy=True
                )
            return scores[:2]

        step = self.state.global_step
        update = whole_update(score, self.accelerator, micro_batches, seed=self.args.seed, step=step)
        return self.objective.partition(update).cuts

    def _settle_batch_cuts(self) -> None:
        micro_batches = self._buffered_inputs
        stored = self.objective.takes_batch_quantiles and OLD_ENTROPY in micro_batches[0]
        self._batch_cuts = self._cuts_by_old_entropy(micro_batches) if stored else None

    def _cuts_by_old_entropy(self, micro_batches: list[dict[str, Any]]) -> Cuts:
        step = self.state.global_step
        batch = whole_generation(self.accelerator, micro_batches, seed=self.args.seed, step=step)
        return self.objective.partition(batch).cuts

    def _value_gap(self, mode: str, inputs: dict[str, Any], batch: TokenBatch, outcome: Outcome) -> Tensor:
        """What TRL's loss value lacks: it is made of w_t A_t where the objective has J_t. Without gradient."""
        gap = (outcome.slope - outcome.value.detach()) * self._row_scale(inputs)
        if self.use_vllm and self.vllm_importance_sampling_correction:
            gap = gap * inputs["importance_sampling_ratio"]
        steps = self.args.gradient_accumulation_steps if mode == "train" else 1
        if self.loss_type != "dapo":
            limit = self.max_completion_length if self.loss_type == "dr_grpo" else 1
            return self.objective.aggregate(gap, batch.mask, len(gap) * limit) / steps
        tokens = inputs["num_items_in_batch"].clamp(min=1) / self.accelerator.num_processes
        if mode == "train":
            tokens = tokens * steps / self.args.steps_per_generation
        return self.objective.aggregate(gap, batch.mask, tokens)

    def _refuse_nonfinite(self, inputs: dict[str, Any], batch: TokenBatch, outcome: Outcome) -> None:
        if not outcome.stats["nonfinite_tokens"].item():
            return
        row, column = (outcome.weight.isnan() & batch.mask).nonzero()[0].tolist()
        per_token = {"log_prob": batch.log_prob, "old_log_prob": batch.old_log_prob, "entropy": batch.entropy}
        found = {name: tensor[row, column].item() for name, tensor in per_token.items()}
        found["advantage"] = batch.advantage.reshape(len(batch.mask), -1)[row, 0].item()
        text = self._tokenizer.decode(inputs["completion_ids"][row][batch.mask[row]])
        raise NonFiniteError(
            self.state.global_step + 1,
            f"{int(outcome.stats['nonfinite_tokens'])} tokens have a non-finite value; the first is token {column} "
            f"({self._tokenizer.decode(inputs['completion_ids'][row, column])!r}) of response {row} of process "
            f"{self.accelerator.process_index}: {found}. The response: {text[:500]!r}",
        )

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        """The host asks for it just before the optimiser's step."""
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        known = norm is not None and self.accelerator.scaler is None  # a scaler, of fp16, leaves such a step out
        if known and not math.isfinite(norm):
            raise NonFiniteError(self.state.global_step + 1, f"the gradient's norm is {float(norm)}")
        last = self._buffered_inputs[(self._step - 1) % self.args.steps_per_generation]
        if not last["num_items_in_batch"]:
            model.zero_grad(set_to_none=True)  # else the optimiser moves by momentum and decay alone
        return norm

    def _collect_metrics(self, mode: str, outcome: Outcome) -> None:
        metrics = self._metrics[mode]
        for name in [key for key in metrics if key.startswith("clip_ratio/")]:
            del metrics[name]  # TRL clips nothing here; the objective's own shares are under clip/
        metrics["entropy"].pop()  # TRL's mean over micro-batches; ours is exact over the update
        self._sums[mode].append(outcome.sums)
        if mode == "train" and not self.accelerator.sync_gradients:
            return
        sums = add_sums(self._sums[mode])
        self._sums[mode].clear()
        sums = self.accelerator.reduce(sums, reduction="sum")
        stats = summarize(sums)
        del stats["nonfinite_tokens"]  # always 0 here, or training would have stopped
        stats["entropy"] = torch.where(sums["tokens"].any(), stats["entropy"], torch.nan)  # not known without a token
        for name, value in zip(stats, torch.stack(list(stats.values())).tolist(), strict=True):
            metrics[name].append(value)
