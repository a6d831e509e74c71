"""A stand-in for an installed verl: a trainer that takes the command, checks nothing and learns nothing.

It writes what verl and our plugin leave behind: records of steps and checkpoints with a model.
"""

import os
from pathlib import Path

TRAINER = '''
"""Two updates a step; stops after FAIL_AFTER steps with an error."""
import json, os, shutil, sys
from pathlib import Path

options = dict(argument.lstrip("+").split("=", 1) for argument in sys.argv[1:])
options = {name: value.strip("'") for name, value in options.items()}
run, saved = Path(options["htpo.output_dir"]), Path(options["trainer.default_local_dir"])
print(json.dumps(options), flush=True)
latest = saved / "latest_checkpointed_iteration.txt"
done = int(latest.read_text()) if latest.is_file() else 0
steps = int(options["trainer.total_training_steps"])
for step in range(done + 1, steps + 1):
    if step > int(os.environ.get("FAIL_AFTER", steps)):
        raise RuntimeError("no more GPUs")
    with open(run / "metrics.jsonl", "a") as file:
        file.write(json.dumps({"step": 2 * step, "training/global_step": step, "accuracy": 0.5}) + "\\n")
    if step % int(options["trainer.save_freq"]) == 0 or step == steps:
        folder = saved / f"global_step_{step}" / "actor" / "huggingface"
        shutil.copytree(options["actor_rollout_ref.model.path"], folder)
        latest.write_text(str(step))
'''


def install(folder: Path, monkeypatch) -> None:
    """Put it before whatever is installed, for this process and those that it starts."""
    for package in ("verl", "verl/trainer", "ray", "transfer_queue"):
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
    (folder / "verl" / "trainer" / "main_ppo.py").write_text(TRAINER)
    for name, version, more in (
        ("verl", "0.9.1", ""),
        ("htpo", "0.1.0", "[verl.plugins]\nhtpo = htpo.engines.verl.plugin\n"),
    ):
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(more)
    monkeypatch.syspath_prepend(folder)
    root = Path(__file__).parents[3]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(root)]))
