"""The run directory: what is refused, what survives a kill, what resume reads."""

import errno
import math
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from htpo.errors import UserError
from htpo.runs import RunDirectory, check_disk_space, writing
from htpo.runs.rollouts import ADDED_LATER, COLUMNS

CONFIG = {"objective": "htpo", "seed": 1, "output_dir": "somewhere"}


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run")
    run.create(CONFIG)
    return run


def test_a_new_run_records_its_options_and_versions(run):
    assert run.config == CONFIG
    assert run.read_json("versions.json")["torch"].startswith("2.")


def test_the_same_config_again_is_refused_with_resume_as_the_remedy(run):
    with pytest.raises(UserError, match="same config.*--resume"):
        run.check_free(CONFIG)


def test_another_config_is_refused_and_the_difference_named(run):
    with pytest.raises(UserError, match="seed: 1, now 2"):
        run.check_free(CONFIG | {"seed": 2})
    with pytest.raises(UserError, match="seed: 1, now 2"):
        run.check_resumable(CONFIG | {"seed": 2})
    assert run.config == CONFIG


def test_a_moved_run_can_be_resumed(run, tmp_path):
    moved = RunDirectory(shutil.move(run.path, tmp_path / "moved"))
    moved.check_resumable(CONFIG | {"output_dir": str(moved.path)})


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not a run's"):
        RunDirectory(tmp_path).create(CONFIG)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="is a file"):
        RunDirectory(tmp_path / "out").create(CONFIG)


def test_resuming_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        RunDirectory(tmp_path / "none").check_resumable(CONFIG)


def test_metrics_come_back_without_nan_and_without_a_line_cut_short(run):
    run.append_metrics({"step": 1, "entropy": 0.5, "group/G1/entropy": math.nan})
    run.append_metrics({"step": 2, "entropy": math.inf})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "entr')
    assert run.read_metrics() == [
        {"step": 1, "entropy": 0.5, "group/G1/entropy": None},
        {"step": 2, "entropy": None},
    ]


def test_truncating_drops_what_came_after_the_step(run):
    for step in (1, 2, 3):
        run.append_metrics({"step": step})
        run.write_rollouts(step, {"response": ["a", "b"], "entropy": [[0.1], [0.2, 0.3]]})
    run.truncate_metrics(2)
    run.truncate_rollouts(2)
    run.append_metrics({"step": 3, "again": True})
    assert [record["step"] for record in run.read_metrics()] == [1, 2, 3]
    assert run.read_metrics()[-1] == {"step": 3, "again": True}
    assert run.read_rollouts()["step"].to_pylist() == [1, 1, 2, 2]
    assert run.read_rollouts()["entropy"].to_pylist() == [[0.1], [0.2, 0.3]] * 2


def test_rollouts_of_earlier_versions_are_read_beside_new_ones(run):
    (run.path / "rollouts").mkdir()
    old = pa.table({"step": [1], "prompt": ["p"], "tokens": [["a"]]})
    pq.write_table(old, run.path / "rollouts" / "step-000001.parquet")
    assert run.read_rollouts().to_pylist() == [{"step": 1, "prompt": "p", "tokens": ["a"]} | dict.fromkeys(ADDED_LATER)]
    run.write_rollouts(2, {"prompt": ["q"], "tokens": [["b"]], "gold": ["7"], "answer": [None]})
    assert run.read_rollouts().select(["gold", "answer", "failure"]).to_pylist() == [
        {"gold": None, "answer": None, "failure": None},
        {"gold": "7", "answer": None, "failure": None},
    ]


def test_rollouts_have_the_columns_of_their_schema_in_its_order(run):
    run.write_rollouts(1, {column.name: [None] for column in reversed(COLUMNS) if column.name != "step"})
    assert run.read_rollouts().schema.equals(pa.schema([(column.name, column.type) for column in COLUMNS]))
    with pytest.raises(KeyError, match="golds"):
        run.write_rollouts(2, {"prompt": ["p"], "golds": ["7"]})


def test_rollouts_that_are_damaged_are_named(run):
    run.write_rollouts(1, {"prompt": ["p"]})
    (run.path / "rollouts" / "step-000001.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="cannot read .*rollouts"):
        run.read_rollouts()


def test_rollouts_that_were_never_written_are_asked_for_clearly(run):
    with pytest.raises(UserError, match="rollout_every"):
        run.read_rollouts()


def write_checkpoint(run, step, limit=None):
    folder = run.aside / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    (folder / "optimizer.pt").write_bytes(b"y" * 100)
    run.keep_checkpoint(step, limit)
    return run.checkpoint(step)


def test_a_checkpoint_is_there_as_a_whole_or_not_at_all(run):
    assert run.latest_complete_checkpoint()[0] is None
    half = run.aside / "checkpoint-8"
    half.mkdir(parents=True)
    assert run.latest_complete_checkpoint()[0] is None
    half.rmdir()
    assert (write_checkpoint(run, 8), {}) == run.latest_complete_checkpoint()
    assert not run.aside.exists()


def test_the_last_checkpoint_that_is_as_it_was_written_counts(run):
    folders = {step: write_checkpoint(run, step) for step in (8, 16, 32, 64, 100, 101)}
    (folders[16] / "model.safetensors").write_bytes(b"x" * 99)
    (folders[32] / "model.safetensors").write_bytes(b"x" * 99 + b"z")
    (folders[64] / "optimizer.pt").unlink()
    (folders[100] / "complete.json").unlink()
    (folders[101] / "complete.json").write_text("[")
    found, faults = run.latest_complete_checkpoint()
    assert found == folders[8]
    assert [faults[folders[step]] for step in (16, 32, 64, 100)] == [
        "model.safetensors has 99 bytes, was written with 100",
        "model.safetensors is not as it was written",
        "it has no optimizer.pt",
        "it was cut short while being written",
    ]
    assert "it cannot be read" in faults[folders[101]]
    assert folders[8] not in faults
    run.rewind(8)
    assert [folder.exists() for folder in folders.values()] == [True, *[False] * 5]
    assert (write_checkpoint(run, 16), {}) == run.latest_complete_checkpoint()


def test_checkpoints_of_versions_that_wrote_sizes_alone_are_gone_on_from(run):
    folder = write_checkpoint(run, 8)
    (folder / "complete.json").write_text('{"model.safetensors": 100}')
    assert run.latest_complete_checkpoint() == (folder, {})
    (folder / "complete.json").write_text('{"model.safetensors": 101}')
    assert run.latest_complete_checkpoint()[0] is None


def test_the_oldest_checkpoints_beyond_the_limit_are_dropped(run):
    for step in (2, 4, 10):
        write_checkpoint(run, step, limit=2)
    assert sorted(folder.name for folder in run.path.glob("checkpoint-*")) == ["checkpoint-10", "checkpoint-4"]


def test_too_small_a_disk_is_refused_before_anything_is_written(tmp_path):
    check_disk_space(tmp_path / "deep" / "run", 1)
    with pytest.raises(UserError, match="free some"):
        check_disk_space(tmp_path / "deep" / "run", 10**18)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_disk_that_fills_up_gives_one_clear_line(tmp_path, error):
    with pytest.raises(UserError, match="no space left.*--resume"), writing(tmp_path):
        raise error


def test_other_errors_pass_unchanged(tmp_path):
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        1 / 0  # noqa: B018


def test_a_failed_write_leaves_the_old_file(run, monkeypatch):
    run.write_json("summary.json", {"value": 1})
    monkeypatch.setattr("htpo.runs.disk.os.fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        run.write_json("summary.json", {"value": 2})
    assert run.read_json("summary.json") == {"value": 1}
    assert [file.name for file in run.path.glob(".*")] == []


HOLD = (
    "import sys; from htpo.runs import RunDirectory\nwith RunDirectory(sys.argv[1]).taken(): print(flush=True); input()"
)


@contextmanager
def another_process_in(path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    yield holder
    holder.kill()
    holder.communicate()


def test_a_second_run_in_a_folder_is_refused_by_name_while_the_first_lives(run):
    with another_process_in(run.path) as holder:
        who = rf"in use by another run \(process {holder.pid} on {re.escape(socket.gethostname())}\): wait"
        for _ in range(2):  # the first refusal leaves the name
            with pytest.raises(UserError, match=who), run.taken():
                pass
    with run.taken():  # by SIGKILL, as nothing was handed back
        run.check_resumable(CONFIG)
        with pytest.raises(UserError, match=rf"process {os.getpid()} on"), RunDirectory(run.path).taken():
            pass
    with run.taken():
        pass


def test_a_folder_taken_in_vain_is_as_it_was(tmp_path):
    mine, empty, new = (tmp_path / name for name in ("mine", "empty", "new/deep"))
    mine.mkdir()
    empty.mkdir()
    (mine / "thesis.txt").write_text("mine")
    for folder in (mine, empty, new):
        with suppress(UserError), RunDirectory(folder).taken():
            raise UserError("no such data")
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert left == ["empty", "mine", "mine/thesis.txt"]


def test_a_file_in_the_way_cannot_be_taken(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(UserError, match="is a file"), RunDirectory(tmp_path / "out").taken():
        pass
