"""A run of seconds, going on with it, and whether another is the same."""

from collections.abc import Callable

from htpo.runs import RunDirectory
from tests.cli.command import htpo, without_times

UPDATES = 6
TRAIN = [
    "train", f"--max_steps={UPDATES}", "--save_steps=2", "--train_prompts=24", "--held_out_prompts=4",
    "--eval_samples=2", "--eval_every=3", "--rollout_every=2", "--prompts_per_generation=4", "--num_generations=4",
    "--updates_per_generation=2", "--max_generation_rounds=2", "--max_completion_length=12", "--report=false",
]  # fmt: skip


def resume(run: RunDirectory, first: Callable[[], None] | None = None) -> str:
    """Go on with it as a user does, in a process that does something first; what was printed."""
    again = [*TRAIN, "--output_dir", run.path] if not run.holds_run else ["train", "--resume", "--output_dir", run.path]
    done = htpo(*again, first=first)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_same(run: RunDirectory, whole: RunDirectory) -> None:
    assert [record["step"] for record in run.read_metrics()] == list(range(1, UPDATES + 1))
    assert without_times(run.read_metrics()) == without_times(whole.read_metrics())
    assert run.read_rollouts().equals(whole.read_rollouts())
    assert run.read_evaluations() == whole.read_evaluations()
    for name in ("evaluation_before.json", "evaluation_after.json", "best/held_out.json"):
        assert run.read_json(name) == whole.read_json(name)
    for policy in ("model", "best", f"checkpoint-{UPDATES}", f"checkpoint-{UPDATES - 2}"):
        name = f"{policy}/model.safetensors"
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert files(run) == files(whole)


def files(run: RunDirectory) -> set[str]:
    return {str(file.relative_to(run.path)) for file in run.path.rglob("*")}
