"""`benchmarks/gpu.py` runs to its end without a GPU, at sizes that measure nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.py"


def run(*options: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, BENCHMARK, *options], capture_output=True, text=True, check=False, env=environment
    )


def test_every_row_of_the_benchmark_comes_out(tmp_path):
    file = tmp_path / "found.json"
    done = run("--device", "cpu", "--tiny", "--rounds", "1", "--updates", "4", "--output", str(file))
    assert done.returncode == 0, done.stderr
    found = json.loads(file.read_text())
    assert [row["objective"] for row in found["objective"]] == ["bare DAPO", "dapo", "htpo"]
    assert [row["trainer"] for row in found["update"]] == ["TRL dapo", "dapo", "htpo"]
    for row in (*found["objective"], *found["update"]):
        assert row["ms"] > 0
    assert [row["objective"] is None for row in found["update"]] == [True, False, False]
    assert 0 < found["update"][2]["objective"] < 1
    assert "CPU, which says nothing about a GPU" in done.stdout


def test_without_a_gpu_it_says_so_before_anything_is_made():
    done = run()
    assert done.returncode == 2
    assert "torch finds no GPU here" in done.stderr
