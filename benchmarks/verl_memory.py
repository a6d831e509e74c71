"""What the verl recipe takes in memory, computed from the model's architecture and the recipe's values; nothing is run.

    python benchmarks/verl_memory.py [--gpu_gb 80] [OVERRIDE ...]

Prints a table with a column per cluster, in GB of 10^9 bytes; overrides are Hydra's, as for the recipe itself. Needs
verl, of whose configuration the recipe is made. `tests/engines/verl/test_recipe_memory.py` holds the formulas against
verl's worker at tiny size. Left out: CUDA's context, NCCL's buffers, fragmentation, vLLM's graphs and workspace.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GB = 1e9
BF16, FP32, INT64 = 2, 4, 8  # bytes


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder of Qwen3's kind with embeddings of their own at either end."""

    vocabulary: int
    hidden: int
    layers: int
    heads: int
    key_value_heads: int
    head: int
    intermediate: int

    def layer_parameters(self) -> int:
        attention = 2 * self.hidden * (self.heads + self.key_value_heads) * self.head
        return attention + 3 * self.hidden * self.intermediate + 2 * self.head + 2 * self.hidden

    def parameters(self) -> int:
        return 2 * self.vocabulary * self.hidden + self.layers * self.layer_parameters() + self.hidden

    def key_value_bytes(self) -> int:
        """Of a token in the cache, in bfloat16."""
        return 2 * self.layers * self.key_value_heads * self.head * BF16


QWEN3_8B = Architecture(151936, 4096, 36, 32, 8, 128, 12288)
"""config.json of Qwen/Qwen3-8B and Qwen/Qwen3-8B-Base; its 8.19e9 parameters are the published number."""


def state(parameters: int, gpus: int) -> dict[str, float]:
    """What FSDP2 holds of the policy per GPU: everything in float32, everything sharded."""
    share = parameters * FP32 / gpus
    return {"parameters, float32": share, "gradients, float32": share, "AdamW's two moments, float32": 2 * share}


def logits(model: Architecture, tokens: int, chunk: int, kept: bool) -> dict[str, float]:
    """Around the vocabulary for a micro-batch, per GPU.

    Args:
        tokens: of the micro-batch on a GPU.
        chunk: tokens for which the entropy is computed at a time.
        kept: the entropy keeps what its gradient would need (`entropy_checkpointing` is off).
    """
    of_all = tokens * model.vocabulary
    entropy = 3 * min(chunk, tokens) * model.vocabulary * FP32 + (2 * of_all * FP32 if kept else 0)
    return {
        "logits, their log-softmax and its gradient, bfloat16": 3 * of_all * BF16,
        "entropy, float32: logits, softmax and product of a chunk"
        + (", and two of all tokens" if kept else ""): entropy,
    }


def activations(model: Architecture, tokens: int) -> dict[str, float]:
    """Of a micro-batch with gradient checkpointing, bfloat16: inputs of all layers, insides of the one in work."""
    inside = 8 * model.hidden + 2 * (model.heads + 2 * model.key_value_heads) * model.head + 4 * model.intermediate
    return {
        "inputs of all layers": tokens * model.layers * model.hidden * BF16,
        "inside the layer in work (an estimate), twice": 2 * tokens * inside * BF16,
    }


def gathered(model: Architecture) -> float:
    """The largest unit that FSDP2 gathers in bfloat16, one ahead, with gradients before they are reduced in float32."""
    largest = max(model.vocabulary * model.hidden, model.layer_parameters())
    return largest * (2 * BF16 + BF16 + FP32)


STORED = {  # fields of verl 0.9.1's batch with an entry per token, and its bytes
    "of prompt and answer": {"input_ids": INT64, "position_ids": INT64},
    "of the prompt": {"prompts": INT64},
    "of the answer": {
        **dict.fromkeys(("responses", "response_mask", "loss_mask"), INT64),
        **dict.fromkeys(("rollout_log_probs", "rm_scores", "old_log_probs", "entropy"), FP32),
        **dict.fromkeys(("advantages", "returns"), FP32),
    },
    "of prompt and answer, from scoring": {"log_probs": FP32},
}
OWN_BYTES = 5  # int8 and float32 a row: correct, group accuracy


def stored(prompt: int, answer: int) -> float:
    """Bytes of a row of this length in TransferQueue."""
    both, of_prompt, of_answer, scored = (sum(fields.values()) for fields in STORED.values())
    return (prompt + answer) * (both + scored) + prompt * of_prompt + answer * of_answer


def table(config: Mapping[str, Any], gpu_gb: float, model: Architecture = QWEN3_8B) -> dict[str, str]:
    """The lines for a composed recipe, with what they are of."""
    policy, data, trainer = config["actor_rollout_ref"], config["data"], config["trainer"]
    actor, rollout = policy["actor"], policy["rollout"]
    gpus = trainer["nnodes"] * trainer["n_gpus_per_node"]
    prompt, answer = data["max_prompt_length"], data["max_response_length"]
    rows = data["train_batch_size"] * rollout["n"]
    tokens = actor["ppo_max_token_len_per_gpu"]
    held = state(model.parameters(), gpus)
    chunk = actor["entropy_from_logits_chunk_size"] if actor["entropy_from_logits_with_chunking"] else tokens
    update = {
        **held,
        "largest gathered unit, bfloat16, and its gradient": gathered(model),
        **activations(model, tokens),
        **logits(model, tokens, chunk, kept=not actor["entropy_checkpointing"]),
    }
    parameters, _, moments = held.values()
    offload = actor["fsdp_config"]
    away = offload["param_offload"] * parameters + offload["optimizer_offload"] * moments
    sharing = rollout["tensor_model_parallel_size"]
    budget = rollout["gpu_memory_utilization"] * gpu_gb * GB
    weights = model.parameters() * BF16 / sharing
    longest = (prompt + answer) * model.key_value_bytes() / sharing
    at_once = (budget - weights) / longest
    queue = rows * stored(prompt, answer) / trainer["nnodes"]
    whole = model.parameters() * FP32

    def sums(title: str, parts: Mapping[str, float]) -> dict[str, str]:
        lines = {f"**{title}**": f"**{sum(parts.values()) / GB:.1f}**"}
        return lines | {name: f"{value / GB:.1f}" for name, value in parts.items()}

    return {
        **sums(f"a GPU in an update, micro-batches of {tokens:,} tokens", update),
        **sums(
            "a GPU that samples",
            {
                "vLLM: weights, bfloat16": weights,
                "vLLM: room for keys and values, at most": budget - weights,
                "the policy's parameters and moments, meanwhile": parameters + moments - away,
            },
        ),
        f"keys and values of an answer of {prompt + answer:,} tokens with its prompt": f"{longest / GB:.1f}",
        "such answers at once, in number: on a GPU; on all": f"{at_once:.0f}; {at_once * gpus / sharing:.0f}",
        **sums(
            "a node's host",
            {
                "offloaded parameters and moments": away * trainer["n_gpus_per_node"],
                f"TransferQueue: {rows:,} answers at the limit, over all nodes": queue,
                "of it, added for the objective": rows * OWN_BYTES / trainer["nnodes"],
            },
        ),
        **sums("a checkpoint on disk, float32", {"parameters, moments, the model for others": 4 * whole}),
    }


def compose(overrides: list[str]) -> dict[str, Any]:
    """The recipe as plain data."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    with initialize_config_module("htpo.recipes.verl", version_base=None):
        config = compose("qwen3_8b_dapo_math", overrides=["workspace=W", *overrides])
    return OmegaConf.to_container(config, resolve=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--gpu_gb", type=float, default=80, help="memory of a GPU")
    parser.add_argument("overrides", nargs="*", help="of the recipe, as Hydra writes them")
    given = parser.parse_args()
    clusters = ("four_nodes", "one_node")
    columns = [table(compose([f"cluster={name}", *given.overrides]), given.gpu_gb) for name in clusters]
    print(f"| GB | {' | '.join(clusters)} |\n|---|{'---|' * len(clusters)}")
    for line in columns[0]:
        print(f"| {line} | {' | '.join(column[line] for column in columns)} |")
