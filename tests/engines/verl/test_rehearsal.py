"""The rehearsal of docs/verl-cluster.md runs as it stands there: the recipe for clusters, small, without a GPU."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.verl, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "verl-cluster.md").read_text(encoding="utf-8")


def commands() -> str:
    """Those after the installation."""
    (block,) = re.findall(r"```bash\n(.*?)```", PAGE.split("## Rehearsal without a GPU")[1], re.DOTALL)
    return block[block.index('cd "$(mktemp -d)"') :]


def metrics_to_watch() -> list[str]:
    """The first column of the table."""
    table = PAGE.split("## 6. What to watch")[1].split("\n## ")[0]
    return [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]


@pytest.mark.timeout(1500)  # 13 minutes beside ten other jobs
def test_data_training_checkpoint_and_evaluation_by_the_commands_of_the_page(tmp_path):
    places = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.defpath}"}
    script = commands().replace("\nhtpo ", "\npython -m htpo ")
    command = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(command, env=os.environ | places, capture_output=True, text=True, timeout=1400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (run,) = tmp_path.glob("*/runs/htpo_paper")
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == [4, 8]  # updates
    for step in steps:
        assert sum(step[f"group/G{k}/token_share"] for k in range(1, 9)) == pytest.approx(1)
    watched = re.findall(r"`([a-z_A-Z0-9]+(?:/[a-z_A-Z0-9@]+)*)`", "".join(metrics_to_watch()))
    elsewhere = {"group/Gk/entropy", "actor/grad_norm", "training/filter_groups/discarded_surplus_samples"}
    assert set(watched) - elsewhere <= set(steps[-1])
    (checkpoint,) = tmp_path.glob("*/checkpoints/htpo_paper/global_step_2/actor")
    parameters = (checkpoint / "huggingface" / "model.safetensors").stat().st_size
    assert 2 * parameters == pytest.approx((checkpoint / "optim_world_size_1_rank_0.pt").stat().st_size, rel=0.05)
    assert (run / "report.html").is_file()
    (results,) = tmp_path.glob("*/eval/results.json")
    assert json.loads(results.read_text())
