"""`HTPOTrainer`: TRL's `GRPOTrainer` with its loss replaced by any objective of `htpo.objectives`."""

import logging
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from trl.rewards import get_soft_overlong_punishment

from htpo.engines.trl.config import HTPOConfig
from htpo.engines.trl.contract import check_loss, check_trl
from htpo.engines.trl.sampling import SignalSampling
from htpo.engines.trl.token_batch import policy_mask, token_batch, whole_update
from htpo.errors import UserError
from htpo.evaluate import end_tokens
from htpo.objectives import Outcome, TokenBatch, add_sums, summarize
from htpo.objectives.axes import Cuts
from htpo.objectives.rules import LOG_RATIO_LIMIT

logger = logging.getLogger(__name__)

RolloutRecorder = Callable[[int, dict[str, Any], TokenBatch, Outcome, int, list[dict[str, Any]]], None]
"""Called with the optimiser step from 1, the host's inputs of this micro-batch, token batch, outcome, the micro-batch's
place in its update, and the inputs of all micro-batches that this process has of it."""


class NonFiniteError(RuntimeError):
    """A log-probability, advantage or entropy of a policy token is NaN or infinite; training cannot go on."""


class HTPOTrainer(SignalSampling):
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
        rollout_recorder: called in every training micro-batch on every process; see `RolloutRecorder`.
    """

    _tag_names = ("trl", "htpo")
    _name = "HTPO"

    def __init__(
        self, model, reward_funcs, args: HTPOConfig, *, rollout_recorder: RolloutRecorder | None = None, **kwargs
    ):
        check_trl()
        if not isinstance(args, HTPOConfig):
            raise TypeError(f"args must be an HTPOConfig, got {type(args).__name__}")
        self.objective = args.make_objective()
        self.rollout_recorder = rollout_recorder
        self._sums: dict[str, list[dict[str, Tensor]]] = {"train": [], "eval": []}
        self._pending: dict[str, Any] | None = None  # inputs of the loss under way, until its forward pass returns
        self._scored: tuple[TokenBatch, Outcome] | None = None
        self._cuts: Cuts | None = None
        self._said: set[str] = set()
        self._generation_metrics: dict[str, float] = {}

        reward_funcs = list(reward_funcs) if isinstance(reward_funcs, list | tuple) else [reward_funcs]
        given_weights = args.reward_weights
        if given_weights is not None and len(given_weights) != len(reward_funcs):
            raise UserError(
                f"reward_weights has {len(given_weights)} numbers, needs one for each of the {len(reward_funcs)} "
                "reward functions"
            )
        self.shaping = int(bool(args.overlong_buffer))
        if self.shaping:
            reward_funcs.append(get_soft_overlong_punishment(args.max_completion_length, args.overlong_buffer))
            args.reward_weights = [*(given_weights or [1.0] * (len(reward_funcs) - 1)), args.overlong_factor]
        try:
            super().__init__(model, reward_funcs, args, **kwargs)
        finally:
            args.reward_weights = given_weights
        self.epsilon_low = self.epsilon_high = math.inf  # the objective clips
        self._end_responses_alike()
        self._prepare_sampling()
        check_loss(self)

    def _end_responses_alike(self) -> None:
        """Responses end at the same tokens in sampling, TRL's counts, held-out measurement and the saved model.

        The host overwrites the model config's end token by the tokenizer's; the generation config keeps them all.
        """
        if self._tokenizer.pad_token_id is None:  # the host pads with the end token, and here there is none either
            raise UserError("the tokenizer has neither a padding token nor an end token: set its pad_token")
        model = self.accelerator.unwrap_model(self.model)
        self.eos_token_ids = end_tokens(model, self._tokenizer)
        model.generation_config.eos_token_id = self.eos_token_ids
        if self.use_vllm:
            self.vllm_generation.generation_kwargs["stop_token_ids"] = self.eos_token_ids
        else:
            self.generation_config.eos_token_id = self.generation_kwargs["eos_token_id"] = self.eos_token_ids

    def _generate_and_score_completions(self, inputs):
        batch = super()._generate_and_score_completions(inputs)
        rows = torch.arange(len(inputs), device=batch["completion_ids"].device)
        return {**batch, "row": rows + self.accelerator.process_index * len(inputs)}

    def _prepare_inputs(self, generation_batch):
        before = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if not self.model.training:
            return inputs
        metrics = self._metrics["train"]
        if self._buffered_inputs is not before:
            generation = {name: values[-1] for name, values in metrics.items() if values}
            self._generation_metrics = {k: v for k, v in generation.items() if not k.startswith("held_out/")}
            self._count_updates()
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

    def _compute_loss(self, model, inputs):
        mode = "train" if self.model.training else "eval"
        inputs = dict(inputs)
        if self.objective.takes_batch_quantiles:
            self._settle_cuts(mode, model, inputs)
        self._pending = inputs
        try:
            loss = super()._compute_loss(model, inputs)
        finally:
            self._pending = None
        batch, outcome = self._scored
        self._refuse_nonfinite(inputs, batch, outcome)
        self._collect_metrics(mode, outcome)
        if mode == "train" and self.rollout_recorder is not None:
            place = self._step % self.args.steps_per_generation
            index = place % self.args.gradient_accumulation_steps
            update = self._buffered_inputs[place - index :][: self.args.gradient_accumulation_steps]
            self.rollout_recorder(self.state.global_step + 1, inputs, batch, outcome, index, update)
        return loss + self._value_gap(mode, inputs, batch, outcome)

    def _get_per_token_logps_and_entropies(self, model, *args, **kwargs):
        scores = super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        if self._pending is not None:
            self._apply_objective(self._pending, scores[0], scores[1])
        return scores

    def _apply_objective(self, inputs: dict[str, Any], log_prob: Tensor, entropy: Tensor) -> None:
        """Put into `inputs` the advantage and ratio that make TRL's loss the objective's; see the class."""
        batch = token_batch(inputs, log_prob, entropy, seed=self.args.seed, step=self.state.global_step)
        outcome = self.objective(batch, self._cuts)
        self._scored = batch, outcome
        current = log_prob.detach()
        log_ratio = (current - batch.old_log_prob).clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).masked_fill(~batch.mask, 0)
        inputs["old_per_token_logps"] = current - log_ratio
        ratio = torch.exp(current - inputs["old_per_token_logps"])  # as TRL will compute it
        inputs["advantages"] = outcome.slope / ratio * self._row_scale(inputs)

    def _row_scale(self, inputs: dict[str, Any]) -> Tensor | float:
        return inputs.get("row_scale", 1.0) if self.loss_type == "grpo" else 1.0

    def _settle_cuts(self, mode: str, model, inputs: dict[str, Any]) -> None:
        """Thresholds over the whole batch where it is cut up, which takes one more forward pass.

        The batch is the update's in training, that of the step, over all processes, in evaluation.
        """
        micro_batches = [inputs]
        if mode == "train":
            index, width = self._step % self.args.steps_per_generation, self.args.gradient_accumulation_steps
            if index % width:
                return  # settled at the update's first micro-batch
            micro_batches = self._buffered_inputs[index : index + width]
        self._cuts = None
        if len(micro_batches) == 1 and self.accelerator.num_processes == 1:
            return

        def score(input_ids: Tensor, attention_mask: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
            scores = self._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, tokens, compute_entropy=True
            )
            return scores[:2]

        step = self.state.global_step
        update = whole_update(score, self.accelerator, micro_batches, seed=self.args.seed, step=step)
        self._cuts = self.objective.partition(update).cuts

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
            f"step {self.state.global_step + 1}: {int(outcome.stats['nonfinite_tokens'])} tokens have a non-finite "
            f"value; the first is token {column} ({self._tokenizer.decode(inputs['completion_ids'][row, column])!r}) "
            f"of response {row} of process {self.accelerator.process_index}: {found}. The response: {text[:500]!r}"
        )

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
