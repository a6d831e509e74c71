"""What we lean on in TRL, tried when a trainer is made: a new TRL fails with one line, not with wrong losses."""

import inspect
from collections import defaultdict
from types import SimpleNamespace
from typing import Any, NoReturn

import torch
import trl
from torch import Tensor
from trl import GRPOTrainer
from trl.trainer.utils import RepeatSampler

from htpo.errors import UserError

WORKING_TRL = "1.16.0"
"""The version that all tests run with, as in constraints.txt."""

NEEDED_PARAMETERS = {
    GRPOTrainer._compute_loss: ["model", "inputs"],
    GRPOTrainer._get_per_token_logps_and_entropies: ["model", "compute_entropy"],
    GRPOTrainer._generate_and_score_completions: ["inputs"],
    GRPOTrainer._calculate_rewards: ["inputs", "prompts", "completions", "completion_ids_list"],
    GRPOTrainer._prepare_inputs: ["generation_batch"],
    GRPOTrainer._get_train_sampler: ["dataset"],
    RepeatSampler.__init__: ["data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed"],
}
"""Methods we override or call, with the parameters we use."""


def check_trl() -> None:
    """Raise UserError unless the installed TRL's methods take what we give them."""
    for method, needed in NEEDED_PARAMETERS.items():
        missing = set(needed) - set(inspect.signature(method).parameters)
        if missing:
            refuse_host(f"its {method.__qualname__} takes no {' and no '.join(sorted(missing))}")


def check_loss(trainer: GRPOTrainer) -> None:
    """Run the host's loss once on two made-up responses, and compare its value and its gradient with what we build on.

    That is, with clipping off: -sum(A r) / normaliser over the policy tokens, where A and r are those that stand in the
    inputs once the forward pass has returned. The trainer is left as it was. On several processes all must call it.

    Raises:
        UserError: they differ; one line that says how.
    """
    trial = _Trial(trainer)
    try:
        loss, gradient = trial.run()
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        refuse_host(f"its loss cannot be computed ({type(error).__name__}: {reason})", error)
    expected = trial.gradient_of(trial.late)
    if not _same(gradient, expected):
        refuse_host(trial.explain(gradient))
    if not _same(loss, expected.sum()):
        refuse_host("the value of its loss is not the sum of -A r")
    if len(trial.metrics["train"]["entropy"]) != 1:
        refuse_host("its loss does not log the mean entropy as 'entropy'")


class _Trial:
    """Two responses of three and two policy tokens, and the host's loss of them on a stand-in for the trainer.

    The inputs first hold other advantages and old log-probabilities (`early`) than once the forward pass has returned
    (`late`), as ours do.
    """

    def __init__(self, trainer: GRPOTrainer):
        self.trainer = trainer
        self.metrics: dict[str, defaultdict[str, list[float]]] = {"train": defaultdict(list), "eval": defaultdict(list)}

        def tensor(values: Any, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.tensor(values, dtype=dtype, device=trainer.accelerator.device)

        ids = tensor([[1, 1, 1, 1], [1, 1, 0, 0]], torch.long)
        tool_mask = tensor([[1, 0, 1, 1], [1, 1, 1, 1]], torch.long)
        self.mask = (ids * tool_mask).float()
        self.log_prob = tensor([[-0.5, -1.0, -2.0, -0.1], [-1.5, -0.3, -0.7, -0.2]])
        log_ratio = tensor([[2.0, 0.3, -3.0, 0.05], [-0.5, 0.6, 0.4, -0.1]])
        advantage = tensor([[1.0, 2.0, -1.5, 0.5], [-0.7, 1.2, 0.9, -0.4]])
        self.late = {"advantages": advantage, "old_per_token_logps": self.log_prob - log_ratio}
        self.early = {"advantages": tensor([3.0, -5.0]), "old_per_token_logps": self.log_prob + 1.0}
        self.tokens = tensor(40.0)  # of the generation batch
        self.correction = 0.5  # what vLLM's log-probabilities would weight every token with
        self.inputs: dict[str, Any] = {
            "prompt_ids": ids[:, :1],
            "prompt_mask": ids[:, :1],
            "completion_ids": ids,
            "completion_mask": ids,
            "tool_mask": tool_mask,
            "num_items_in_batch": self.tokens,
            "importance_sampling_ratio": torch.full_like(advantage, self.correction),
            **self.early,
        }

    def run(self) -> tuple[Tensor, Tensor]:
        """The loss and its gradient with respect to the log-probabilities."""
        log_prob = self.log_prob.clone().requires_grad_()

        def forward(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, None]:
            self.inputs.update(self.late)
            return log_prob, -log_prob.detach(), None

        host = object.__new__(type(self.trainer))
        host.__dict__ |= self.trainer.__dict__ | {
            "model": SimpleNamespace(training=True),
            "beta": 0.0,
            "aux_loss_enabled": False,
            "_entropy_bonus_enabled": False,
            "_metrics": self.metrics,
            "_get_per_token_logps_and_entropies": forward,
            "current_gradient_accumulation_steps": self.trainer.args.gradient_accumulation_steps,
        }
        with torch.enable_grad():
            loss = GRPOTrainer._compute_loss(host, host.model, self.inputs)
            return loss.detach(), torch.autograd.grad(loss, log_prob)[0]

    def gradient_of(self, inputs: dict[str, Tensor], clip: float = torch.inf) -> Tensor:
        """-A r / normaliser at every token, 0 where the clip binds and outside the mask."""
        advantage = inputs["advantages"]
        advantage = advantage.unsqueeze(1) if advantage.dim() == 1 else advantage
        ratio = (self.log_prob - inputs["old_per_token_logps"]).exp()
        bound = ((ratio > 1 + clip) & (advantage > 0)) | ((ratio < 1 - clip) & (advantage < 0))
        host = self.trainer
        weight = self.correction if host.use_vllm and host.vllm_importance_sampling_correction else 1.0
        return -advantage * ratio * ~bound * self.mask * weight / self._normaliser()

    def _normaliser(self) -> Tensor | float:
        args, responses = self.trainer.args, len(self.mask)
        if self.trainer.loss_type == "grpo":
            return self.mask.sum(1, keepdim=True) * responses * args.gradient_accumulation_steps
        if self.trainer.loss_type == "dr_grpo":
            return responses * self.trainer.max_completion_length * args.gradient_accumulation_steps
        share = args.gradient_accumulation_steps / args.steps_per_generation
        return self.tokens / self.trainer.accelerator.num_processes * share

    def explain(self, gradient: Tensor) -> str:
        """What the host's loss does instead, as far as one change can tell."""
        both = {"advantages": "advantages", "old_per_token_logps": "old log-probabilities"}
        for name, words in both.items():
            if _same(gradient, self.gradient_of(self.late | {name: self.early[name]})):
                return f"its loss reads the {words} before the forward pass"
        if _same(gradient, self.gradient_of(self.early)):
            return "its loss reads the advantages and old log-probabilities before the forward pass"
        if _same(gradient, self.gradient_of(self.late, clip=0.2)):
            return "its loss clips the ratio though epsilon_low and epsilon_high are infinite"
        inside = self.mask.bool()
        if (gradient[~inside] != 0).any():
            return "its loss counts tokens that the policy did not sample"
        factor = (gradient / self.gradient_of(self.late))[inside]
        if _same(factor, factor.mean().expand_as(factor)):
            return f"its loss is normalised in another way: it is {factor.mean().item():.3g} times as large"
        return "the gradient of its loss is not -A r"


def _same(x: Tensor, y: Tensor) -> bool:
    return torch.allclose(x, y, rtol=1e-4, atol=1e-6)


def refuse_host(difference: str, cause: Exception | None = None) -> NoReturn:
    """Raise UserError: the installed TRL is not as the trainer needs it."""
    remedy = f"it works with TRL {WORKING_TRL} (pip install trl=={WORKING_TRL})"
    raise UserError(f"htpo does not work with TRL {trl.__version__}: {difference}; {remedy}") from cause
