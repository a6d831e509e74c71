"""The formulas of benchmarks/verl_memory.py are what models, caches and verl's own worker take at tiny size."""

import pytest
import torch
from transformers import AutoModelForCausalLM, Qwen3Config, Qwen3ForCausalLM

from benchmarks.verl_memory import BF16, GB, QWEN3_8B, Architecture, activations, logits, state, stored

TINY = Architecture(vocabulary=48, hidden=32, layers=2, heads=2, key_value_heads=1, head=16, intermediate=64)


def configured(model: Architecture) -> dict:
    return {
        "vocab_size": model.vocabulary,
        "hidden_size": model.hidden,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.key_value_heads,
        "head_dim": model.head,
        "intermediate_size": model.intermediate,
        "tie_word_embeddings": False,
    }


def test_the_architecture_has_as_many_parameters_as_the_model():
    with torch.device("meta"):
        model = Qwen3ForCausalLM(Qwen3Config(**configured(QWEN3_8B)))
    assert QWEN3_8B.parameters() == sum(p.numel() for p in model.parameters()) == 8_190_735_360


def test_keys_and_values_of_a_token_take_what_the_cache_takes():
    model = Qwen3ForCausalLM(Qwen3Config(**configured(TINY))).to(torch.bfloat16)
    cache = model(torch.tensor([[5, 6, 7]])).past_key_values
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert held == 3 * TINY.key_value_bytes()


def test_activations_and_logits_grow_with_the_tokens():
    one, two = (sum({**activations(TINY, n), **logits(TINY, n, n, kept=True)}.values()) for n in (100, 200))
    assert two == 2 * one
    assert logits(QWEN3_8B, 11264, 2048, kept=False).popitem()[1] < 4 * GB
    assert logits(QWEN3_8B, 11264, 2048, kept=True).popitem()[1] > 17 * GB


def test_a_row_at_the_limit_takes_its_tokens_times_their_fields():
    assert stored(0, 1) == 16 + 4 + 3 * 8 + 6 * 4
    assert stored(1, 0) == 16 + 4 + 8


@pytest.mark.verl
def test_verl_s_worker_holds_the_policy_four_times_over_in_float32(tmp_path):
    from htpo.objectives import make_objective
    from tests.engines.tiny import save_tiny_model
    from tests.engines.verl.worker import loss_of, make_rollouts, start_worker, train_once, verl_batch

    path = save_tiny_model(tmp_path, tie_word_embeddings=False)
    tiny = Architecture(AutoModelForCausalLM.from_pretrained(path).config.vocab_size, *list(vars(TINY).values())[1:])
    worker = start_worker(path, "unpadded")
    held = {}

    def weigh(optimizer, *_):
        held["gradients"] = sum(local(p.grad).nbytes for p in worker.engine.module.parameters())

    hook = worker.engine.optimizer.register_step_pre_hook(weigh)
    rollouts = make_rollouts(path)
    objective = make_objective("dapo")
    from tests.engines.verl.worker import fields_of

    train_once(worker, loss_of(objective), verl_batch(rollouts, "unpadded", **fields_of(objective, rollouts)))
    hook.remove()
    parameters = sum(local(p).nbytes for p in worker.engine.module.parameters())
    moments = sum(
        local(value).nbytes
        for of_parameter in worker.engine.optimizer.state.values()
        for name, value in of_parameter.items()
        if name.startswith("exp_avg")
    )
    assert [parameters, held["gradients"], moments] == list(state(tiny.parameters(), gpus=1).values())


def local(tensor):
    return getattr(tensor, "to_local", lambda: tensor)()


@pytest.mark.verl
def test_with_checkpointing_the_entropy_keeps_nothing_of_the_size_of_the_logits():
    from verl.utils.torch_functional import entropy_from_logits_with_chunking as entropy

    tokens, vocabulary, chunk = 64, 1000, 16
    scores = torch.randn(tokens, vocabulary, dtype=torch.bfloat16, requires_grad=True)

    def kept(compute) -> int:
        """Bytes kept for the gradient, beside the logits themselves."""
        seen = {}

        def keep(x):
            if x.untyped_storage().data_ptr() != scores.untyped_storage().data_ptr():
                seen[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            result = compute()
        result.detach()
        return sum(seen.values())

    model = Architecture(vocabulary, 1, 1, 1, 1, 1, 1)
    beside_chunk = sum(logits(model, tokens, chunk, kept=True).values()) - sum(
        logits(model, tokens, chunk, kept=False).values()
    )
    assert kept(lambda: entropy(scores, chunk)) == pytest.approx(beside_chunk, rel=0.05)
    assert kept(lambda: torch.utils.checkpoint.checkpoint(entropy, scores, chunk)) < scores.nbytes / BF16 / 100
