"""A run that is killed at any moment, or damaged, and gone on with is the uninterrupted one, bit for bit."""

import functools
import shutil
import signal

import pytest

from htpo.runs import RunDirectory
from tests.cli.command import htpo, without_times
from tests.faults.checkpoint_reads import flip_a_bit, note_reads
from tests.faults.moments import MOMENTS, Moment, kill
from tests.faults.small_run import TRAIN, UPDATES, assert_same, resume

KILLS = 25
SHORT = 2  # of them in every run of the tests


def killed_run(run: RunDirectory, moment: Moment) -> None:
    killed = htpo(*TRAIN, "--output_dir", run.path, first=lambda: moment.do(kill))
    assert killed.returncode == -signal.SIGKILL, killed.stderr


@pytest.mark.parametrize(
    "seed", [*range(SHORT), *(pytest.param(s, marks=pytest.mark.slow) for s in range(SHORT, KILLS))]
)
def test_a_run_killed_at_any_moment_and_gone_on_with_is_the_uninterrupted_one(whole, run, seed):
    moment = Moment.draw(seed, whole[1])
    killed_run(run, moment)
    resume(run)
    assert_same(run, whole[0])


def test_every_kind_of_moment_comes(whole):
    assert whole[1].keys() == MOMENTS.keys()


@pytest.mark.slow
def test_a_run_killed_again_and_again_is_the_uninterrupted_one(whole, run):
    killed_run(run, Moment("loss", 5, after=True))
    for moment in (Moment("optimiser of a checkpoint", 1, after=True), Moment("record of an update", 3, after=False)):
        killed = htpo("train", "--resume", "--output_dir", run.path, first=lambda moment=moment: moment.do(kill))
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    resume(run)
    assert_same(run, whole[0])


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "a bit of the optimiser"])
def test_a_run_goes_on_from_the_last_checkpoint_that_is_whole_and_reads_each_once(whole, run, tmp_path, damaged):
    shutil.copytree(whole[0].path, run.path)
    shutil.rmtree(run.path / "model")
    (run.path / "summary.json").unlink()
    said, looked_at = f"from update {UPDATES}", [UPDATES]  # killed while it was measured or summed up
    if damaged:
        flip_a_bit(run.checkpoint(UPDATES) / "optimizer.pt")
        said, looked_at = "is dropped: optimizer.pt is not as it was written", [UPDATES, UPDATES - 2]
    reads = tmp_path / "reads"
    assert said in resume(run, first=lambda: note_reads(reads))
    assert reads.read_text().split() == [f"checkpoint-{step}" for step in looked_at]
    assert_same(run, whole[0])


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_ends_a_run_with_a_checkpoint_from_which_it_goes_on(whole, run, number):
    third, rarely = Moment("record of an update", 3, after=True), f"--save_steps={UPDATES}"
    stop = functools.partial(signal.raise_signal, number)
    stopped = htpo(*TRAIN, rarely, "--output_dir", run.path, first=lambda: third.do(stop))
    assert stopped.returncode == 128 + number
    assert stopped.stderr.splitlines()[-1] == (
        f"htpo: stopped by {number.name}: `htpo train --resume --output_dir {run.path}` goes on after update 4 of "
        f"{UPDATES}"
    )
    assert run.latest_complete_checkpoint() == (run.checkpoint(4), {})
    assert "from update 4" in resume(run)
    assert without_times(run.read_metrics()) == without_times(whole[0].read_metrics())
    weights = "model/model.safetensors"
    assert (run.path / weights).read_bytes() == (whole[0].path / weights).read_bytes()
