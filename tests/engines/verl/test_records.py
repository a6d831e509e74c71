"""The run directory of a verl run: begun, gone on with, refused, and read by what reads runs."""

from copy import deepcopy

import pytest

from htpo.engines.verl.records import RunRecords
from htpo.engines.verl.settings import Settings
from htpo.errors import UserError
from htpo.objectives import make_objective
from htpo.runs import RunDirectory, RunRecord, installed_version
from htpo.statistics import PassRates

CONFIG = {
    "actor_rollout_ref": {
        "actor": {"ppo_mini_batch_size": 4, "ppo_epochs": 1, "strategy": "fsdp2"},
        "model": {"path": "some/model"},
        "rollout": {"n": 4, "val_kwargs": {"n": 2, "temperature": 1.0}},
    },
    "algorithm": {"adv_estimator": "grpo", "filter_groups": {"enable": True, "metric": "acc"}},
    "data": {"train_files": ["/data/sums.parquet"], "train_batch_size": 8, "max_response_length": 12},
    "htpo": {"objective": "htpo"},
    "reward": {"reward_kwargs": {"overlong_buffer_cfg": {"enable": True, "len": 4}}},
    "trainer": {
        "default_local_dir": "none",
        "n_gpus_per_node": 8,
        "nnodes": 2,
        "resume_mode": "auto",
        "test_freq": 5,
        "v1": {"trainer_mode": "htpo_sync"},
        "val_before_train": True,
    },
}
OPTIONS = {"htpo.objective": "htpo", "data.train_batch_size": 8, "trainer.total_training_steps": 5}
METRICS = {"accuracy": 0.5, "entropy": 1.0, "actor/grad_norm": 2.0, "val-core/x": 1}
ROLLOUTS = [{"prompt": "1+1=", "tokens": ["2"], "entropy": [0.5]}]


def records(folder, checkpoint=None, options=None, resume_mode="auto", **settings) -> RunRecords:
    config = deepcopy(CONFIG)
    config["trainer"]["resume_mode"] = resume_mode
    of = {"output_dir": str(folder), "rollout_every": 10, "rollouts_kept": 32} | settings
    chosen = Settings(make_objective("htpo"), "old", 10, 0.0, **of)
    return RunRecords(chosen, config, OPTIONS | (options or {}), checkpoint)


def begun(folder, step=0, **more) -> RunRecords:
    found = records(folder, **more)
    found.begin(step, prompts=32, held_out=6)
    return found


def with_steps(folder, last: int) -> RunRecords:
    """A run of so many of verl's steps, of two updates each."""
    run = begun(folder)
    for step in range(1, last + 1):
        train(run, step)
    return run


def train(run: RunRecords, step: int, rows: int = 32) -> None:
    run.rollouts(ROLLOUTS)
    run.trained_on(rows)
    run.step(METRICS | {"training/global_step": step})


def refusal(folder, **more) -> str:
    with pytest.raises(UserError) as caught:
        records(folder, **more)
    return str(caught.value)


def test_a_run_is_read_like_any_other(tmp_path):
    run = with_steps(tmp_path / "run", last=3)
    run.finish(3)
    record = RunRecord.read(RunDirectory(tmp_path / "run"))
    assert [update["step"] for update in record.updates] == [2, 4, 6]
    assert (record.updates[0]["grad_norm"], record.updates[0]["val-core/x"]) == (2.0, 1)
    assert [update["training/global_step"] for update in record.updates] == [1, 2, 3]
    assert record.summary["updates"] == 6
    assert record.config == OPTIONS
    assert record.objective.name == "htpo"
    assert record.versions["torch"] == installed_version("torch")
    first_updates = RunDirectory(tmp_path / "run").read_rollouts()["step"].to_pylist()
    assert first_updates == [1, 3, 5]


def test_the_plan_says_what_verl_s_options_mean(tmp_path):
    plan = begun(tmp_path).directory.read_json("plan.json")
    assert plan["batch"] == "8 prompts x 4 samples -> 2 updates of 16 sequences, at most 192 tokens each"
    assert plan["task"] == "sums.parquet: 32 prompts"
    assert plan["dynamic sampling"] == "at most 10 rounds; soft overlong punishment over the last 4 tokens"
    assert plan["held-out"] == "6 problems x 2 samples at temperature 1, before, after and every 5 steps"
    assert plan["engine"] == "verl 0.9.1, sync, fsdp2 on 2 x 8 devices"


def test_rollouts_are_wanted_at_the_first_step_and_at_every_nth(tmp_path):
    run = records(tmp_path, rollout_every=4)
    assert [step for step in range(1, 10) if run.wants_rollouts(step)] == [1, 4, 8]
    assert not any(records(tmp_path, rollout_every=0).wants_rollouts(step) for step in range(1, 10))


def test_what_was_recorded_after_the_checkpoint_is_dropped(tmp_path):
    with_steps(tmp_path, last=5)
    begun(tmp_path, step=3, checkpoint="global_step_3")
    directory = RunDirectory(tmp_path)
    assert [record["training/global_step"] for record in directory.read_metrics()] == [1, 2, 3]
    assert directory.read_rollouts()["step"].to_pylist() == [1, 3, 5]


def test_updates_are_counted_on_from_the_checkpoint_however_many_a_step_made(tmp_path):
    run = begun(tmp_path)
    for step, rows in ((1, 32), (2, 48), (3, 32)):
        train(run, step, rows)
    again = begun(tmp_path, step=2, checkpoint="global_step_2")
    train(again, 3)
    assert [record["step"] for record in RunDirectory(tmp_path).read_metrics()] == [2, 5, 7]


def test_a_step_whose_record_was_not_written_counts_as_the_options_say(tmp_path):
    with_steps(tmp_path, last=2)
    train(begun(tmp_path, step=4, checkpoint="global_step_4"), 5)
    assert [record["step"] for record in RunDirectory(tmp_path).read_metrics()] == [2, 4, 10]


def test_held_out_problems_are_before_between_and_after(tmp_path):
    def rates(right):
        return PassRates(2, (right, 1), mean_length=1.0, truncated=0.0, failures={}, examples=())

    run = begun(tmp_path)
    run.measured(rates(0), last=False)
    train(run, 1)
    run.measured(rates(1), last=False)
    train(run, 2)
    run.measured(rates(2), last=True)
    run.finish(2)
    record = RunRecord.read(RunDirectory(tmp_path))
    assert (record.before.correct, record.after.correct) == ((0, 1), (2, 1))
    assert {step: one["correct"] for step, one in RunDirectory(tmp_path).read_evaluations().items()} == {
        2: [1, 1],
        4: [2, 1],
    }
    assert record.summary["pass@1"] == [0.25, 0.75]


def test_an_interrupted_run_without_a_checkpoint_starts_again_in_its_folder(tmp_path):
    with_steps(tmp_path, last=2)
    begun(tmp_path)
    assert RunDirectory(tmp_path).read_metrics() == []


def test_a_longer_run_goes_on_in_its_folder_with_the_options_now_in_force(tmp_path):
    with_steps(tmp_path, last=5).finish(5)
    longer = {"trainer.total_training_steps": 9}
    begun(tmp_path, step=5, checkpoint="global_step_5", options=longer)
    assert RunDirectory(tmp_path).config["trainer.total_training_steps"] == 9


@pytest.mark.parametrize("changed", [{"htpo.objective": "dapo"}, {"data.seed": 1}, {"htpo.threshold": 0.3}])
def test_a_folder_with_another_run_is_refused(tmp_path, changed):
    with_steps(tmp_path, last=2)
    ((name, value),) = changed.items()
    assert f"another config ({name}: {OPTIONS.get(name)!r}, now {value!r})" in refusal(
        tmp_path, checkpoint="global_step_2", options=changed
    )


def test_a_finished_run_is_not_overwritten_by_one_that_starts_anew(tmp_path):
    with_steps(tmp_path, last=2).finish(5)
    assert "goes on from no checkpoint of it: choose another" in refusal(tmp_path)


def test_a_new_run_does_not_go_on_from_another_s_checkpoint_without_a_word(tmp_path):
    said = refusal(tmp_path / "new", checkpoint="global_step_2")
    assert "verl would go on from global_step_2" in said
    assert "trainer.resume_mode=disable" in said
    records(tmp_path / "new", checkpoint="global_step_2", resume_mode="resume_path")  # asked for by name


def test_a_run_that_must_not_go_on_does_not_take_an_interrupted_one_s_folder(tmp_path):
    with_steps(tmp_path, last=2)
    assert "goes on from no checkpoint of it: choose another" in refusal(tmp_path, resume_mode="disable")


def test_a_folder_with_other_files_or_a_file_in_its_place_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    assert "holds files that are not a run's" in refusal(tmp_path / "mine")
    (tmp_path / "file").write_text("")
    assert "is a file" in refusal(tmp_path / "file")


def test_a_full_disk_is_one_clear_error_and_harms_nothing(tmp_path, monkeypatch):
    run = with_steps(tmp_path, last=2)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("htpo.runs.rollouts.pq.write_table", full)
    with pytest.raises(UserError, match=f"no space left on the disk of {tmp_path}"):
        run.rollouts(ROLLOUTS)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_the_summary_says_where_the_policy_is(tmp_path):
    def model(step):
        run = records(tmp_path / f"run{step}")
        run.config["trainer"]["default_local_dir"] = str(tmp_path / "checkpoints")
        run.begin(0, prompts=32, held_out=6)
        run.finish(step)
        return run.directory.read_json("summary.json")["model"]

    sharded, whole = (tmp_path / "checkpoints" / f"global_step_{step}" / "actor" for step in (1, 2))
    for folder in (sharded, whole):
        (folder / "huggingface").mkdir(parents=True)
    (whole / "huggingface" / "model.safetensors").write_text("")
    assert (model(1), model(2)) == (str(sharded), str(whole / "huggingface"))
    assert model(3) == "none: trainer.save_freq wrote no checkpoint of the last step"
