"""verl's own training worker on the CPU with a tiny model, and batches as its trainers make them."""

import os
import pickle
from dataclasses import dataclass, replace
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from htpo.engines.verl.batch_fields import OF_EPISODES, PER_TOKEN, batch_fields, cut_names, field_of
from htpo.engines.verl.cpu import ENVIRONMENT
from htpo.engines.verl.group_facts import GroupFacts
from htpo.engines.verl.loss import ObjectiveLoss
from htpo.objectives import TokenBatch
from tests.objectives.oracle import Response

LAYOUTS = {
    "padded": {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": 8},
    "padded, cut in four": {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": 2},
    "unpadded": {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": 8},
    "unpadded, cut in eight": {"use_dynamic_bsz": False, "micro_batch_size_per_gpu": 1},
    "dynamic": {"use_dynamic_bsz": True, "max_token_len_per_gpu": 80},
}
"""How verl's batch lies in memory and is cut: options of its engine."""

MODES = {
    "htpo": "token-mean",
    "dapo": "token-mean",
    "entropy_mask": "token-mean",
    "grpo": "seq-mean-token-mean",
    "gspo": "seq-mean-token-mean",
    "dr_grpo": "seq-mean-token-sum-norm",
}
LIMIT = 30  # tokens of a response, for dr_grpo


@dataclass(frozen=True)
class Rollouts:
    """Rollouts of prompts of different lengths, by response: tokens, and the lists of the oracle."""

    prompts: list[list[int]]
    responses: list[list[int]]
    known: list[Response]

    def rows(self, chosen: list[int]) -> "Rollouts":
        return Rollouts(*([column[i] for i in chosen] for column in (self.prompts, self.responses, self.known)))


def scored(model, prompt: list[int], response: list[int]) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies of a response's tokens, (T,) each."""
    logits = model(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
    log_probs = logits.log_softmax(-1)
    return log_probs.gather(1, torch.tensor(response).unsqueeze(1)).squeeze(1), -(log_probs.exp() * log_probs).sum(-1)


def load(path: str):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64, attn_implementation="eager")


def make_rollouts(path: str, rows: int = 8, seed: int = 0) -> Rollouts:
    """Rollouts of `rows` / 4 prompts of which a third is hard, with tokens in every branch of every rule."""
    g = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, *shape: int) -> list[int]:
        return torch.randint(low, high, shape, generator=g).tolist()

    lengths = integers(3, 30, rows)
    prompts = [integers(3, 48, 2 + 3 * (row // 4)) for row in range(rows)]
    responses = [integers(3, 48, length) for length in lengths]
    model = load(path)
    known = []
    for row, (prompt, response) in enumerate(zip(prompts, responses)):
        with torch.no_grad():
            log_prob, entropy = scored(model, prompt, response)
        log_ratio = torch.randn(len(response), generator=g, dtype=torch.float64) * 0.4
        mask = [t % 7 != 3 for t in range(len(response))]
        easy = (row // 4) % 2
        known.append(
            Response(
                log_prob=log_prob.tolist(),
                old_log_prob=(log_prob - log_ratio).tolist(),
                advantage=[(1.3 if row % 4 < 1 + 2 * easy else -0.8)] * len(response),
                entropy=entropy.tolist(),
                mask=mask,
                correct=row % 4 < 1 + 2 * easy,
                group_accuracy=(1 + 2 * easy) / 4,
            )
        )
    return Rollouts(prompts, responses, known)


def gradient_of(path: str, rollouts: Rollouts, slopes: list[list[float]]) -> Tensor:
    """Of sum(slope log_prob) over tokens, with respect to all parameters, in float64."""
    model = load(path)
    for prompt, response, slope in zip(rollouts.prompts, rollouts.responses, slopes):
        (scored(model, prompt, response)[0] @ torch.tensor(slope, dtype=torch.float64)).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def as_token_batch(rollouts: Rollouts) -> TokenBatch:
    """The rollouts in float64, padded."""
    width = max(map(len, rollouts.responses))

    def padded(name: str) -> Tensor:
        return torch.tensor([[*getattr(r, name), *[0.0] * (width - len(r.mask))] for r in rollouts.known]).double()

    return TokenBatch(
        log_prob=padded("log_prob"),
        old_log_prob=padded("old_log_prob"),
        advantage=padded("advantage"),
        entropy=padded("entropy"),
        mask=padded("mask").bool(),
        correct=torch.tensor([r.correct for r in rollouts.known]),
        group_accuracy=torch.tensor([r.group_accuracy for r in rollouts.known]).double(),
        turn=padded("turn").int() if rollouts.known[0].turn else None,
    )


def with_turns(rollouts: Rollouts) -> Rollouts:
    """As if responses were episodes: what the policy wrote in one go is a turn."""
    known = []
    for response in rollouts.known:
        begins = [here and not before for here, before in zip(response.mask, [False, *response.mask])]
        numbers = torch.tensor(begins).cumsum(0) * torch.tensor(response.mask)
        known.append(replace(response, turn=numbers.tolist()))
    return replace(rollouts, known=known)


def nested(rows: list[Tensor]) -> Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def per_token(rollouts: Rollouts, name: str, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    return [torch.tensor(getattr(r, name)).to(dtype) for r in rollouts.known]


def verl_batch(rollouts: Rollouts, layout: str, **fields):
    """As verl's driver sends it to a worker.

    Args:
        layout: one of `LAYOUTS`; a "padded" one has prompts to the left and responses to the right.
    """
    from tensordict import TensorDict
    from verl.utils import tensordict_utils as tu
    from verl.workers.utils.padding import left_right_2_no_padding

    columns = {
        "prompts": [torch.tensor(ids) for ids in rollouts.prompts],
        "responses": [torch.tensor(ids) for ids in rollouts.responses],
        "response_mask": per_token(rollouts, "mask", torch.int64),
        "old_log_probs": per_token(rollouts, "old_log_prob"),
        "advantages": per_token(rollouts, "advantage"),
        "entropy": per_token(rollouts, "entropy"),
        **{name: value for name, value in fields.items() if isinstance(value, list)},
    }
    whole = [torch.cat(pair) for pair in zip(columns["prompts"], columns["responses"])]
    size = len(whole)
    if not layout.startswith("padded"):
        data = TensorDict({name: nested(rows) for name, rows in columns.items()}, batch_size=size)
        data["input_ids"] = nested(whole)
        data["position_ids"] = nested([torch.arange(len(ids)) for ids in whole])
        data["loss_mask"] = data["response_mask"]
    else:
        sides = {name: "left" if name == "prompts" else "right" for name in columns}
        data = TensorDict({name: padded(rows, sides[name]) for name, rows in columns.items()}, batch_size=size)
        data["input_ids"] = torch.cat([data["prompts"], data["responses"]], 1)
        here = [
            padded([torch.ones_like(ids) for ids in columns[name]], sides[name]) for name in ("prompts", "responses")
        ]
        data["attention_mask"] = torch.cat(here, 1)
        data["position_ids"] = (data["attention_mask"].cumsum(1) - 1).clamp(min=0)
        data = left_right_2_no_padding(data)
    data.update({name: value for name, value in fields.items() if not isinstance(value, list)})
    tu.assign_non_tensor(data, temperature=1.0, calculate_entropy=True, compute_loss=True)
    return data


def padded(rows: list[Tensor], side: str) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_side=side)


def start_processes() -> None:
    """Join verl's process group, alone unless the environment says otherwise; skip the test where verl is missing."""
    if find_spec("verl") is None:
        pytest.skip("verl is not installed")
    alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    os.environ |= {**alone, **os.environ, **ENVIRONMENT}
    import htpo.engines.verl.plugin  # noqa: F401 as verl does where htpo is installed

    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo")


def configuration(*overrides: str):
    """verl's whole configuration, as its command composes it."""
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", list(overrides))


def start_worker(path: str, layout: str):
    """verl's `TrainingWorker` with FSDP2 in float32 that leaves the parameters alone and their gradients unclipped."""
    from verl.trainer.config import CheckpointConfig
    from verl.workers.config import FSDPEngineConfig, FSDPOptimizerConfig, HFModelConfig, TrainingWorkerConfig
    from verl.workers.engine_workers import TrainingWorker

    precision = dict.fromkeys(("param_dtype", "reduce_dtype", "buffer_dtype"), "fp32")
    worker = TrainingWorker(
        TrainingWorkerConfig(
            model_type="language_model",
            model_config=HFModelConfig(
                path=path,
                use_remove_padding=not layout.startswith("padded"),
                enable_gradient_checkpointing=False,
                override_config={"attn_implementation": "eager"},
            ),
            engine_config=FSDPEngineConfig(
                strategy="fsdp2", use_torch_compile=False, mixed_precision=precision, **LAYOUTS[layout]
            ),
            optimizer_config=FSDPOptimizerConfig(lr=0.0, clip_grad=1e9),
            checkpoint_config=CheckpointConfig(),
        )
    )
    worker.reset()
    return worker


def actor_config(loss_mode: str = "htpo", **options):
    from verl.workers.config import FSDPActorConfig, PolicyLossConfig

    policy_loss = PolicyLossConfig(loss_mode=loss_mode)
    return FSDPActorConfig(
        strategy="fsdp2", rollout_n=4, ppo_micro_batch_size_per_gpu=1, policy_loss=policy_loss, **options
    )


def loss_of(objective, entropy_of: str = "current", **actor) -> ObjectiveLoss:
    scale = LIMIT if objective.name == "dr_grpo" else None
    actor = {"loss_agg_mode": MODES[objective.name], "loss_scale_factor": scale, **actor}
    loss = ObjectiveLoss(actor_config(**actor), objective, entropy_of)
    return pickle.loads(pickle.dumps(loss))  # as it gets to a worker


def fields_of(objective, rollouts) -> dict:
    """What the driver adds."""
    correct = torch.tensor([r.correct for r in rollouts.known])
    facts = GroupFacts(correct, torch.tensor([r.group_accuracy for r in rollouts.known]))
    padded = {
        name: x.to_padded_tensor(0.0) for name, x in verl_batch(rollouts, "unpadded").items() if name in PER_TOKEN
    }
    played = {field_of(name): per_token(rollouts, name, OF_EPISODES[name]) for name in objective.reads}
    return batch_fields(objective, facts, padded if cut_names(objective) else None) | played


def train_once(worker, loss, data) -> tuple[Tensor, dict]:
    """The gradient of all parameters after an update with the batch, and what verl reports of it."""
    from verl.utils import tensordict_utils as tu

    worker.set_loss_fn(loss)
    rows = len(data) * torch.distributed.get_world_size()
    tu.assign_non_tensor(data, global_batch_size=rows, mini_batch_size=rows)
    seen: list[Tensor] = []

    def see(*_) -> None:
        gradients = [p.grad for p in worker.engine.module.parameters()]
        seen.extend(getattr(g, "full_tensor", lambda g=g: g)().flatten() for g in gradients)

    hook = worker.engine.optimizer.register_step_pre_hook(see)
    metrics = tu.get(worker.train_mini_batch(data), "metrics")
    hook.remove()
    return torch.cat(seen), metrics
