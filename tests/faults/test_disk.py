"""A disk that fills up or becomes read-only in the middle of a run, and a folder that another run works in."""

import errno
import os
import re
import socket

import pytest

from htpo.runs import RunDirectory
from tests.cli.command import htpo
from tests.faults.moments import Moment
from tests.faults.small_run import TRAIN, assert_same, resume

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
READ_ONLY = OSError(errno.EROFS, os.strerror(errno.EROFS))
IN_RUST = RuntimeError(f"Error while serializing: I/O error: {os.strerror(errno.ENOSPC)} (os error 28)")


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("moment", "error", "said"),
    [
        (Moment("optimiser of a checkpoint", 2, after=True), FULL, "no space left on the disk of .*: free some"),
        pytest.param(
            Moment("record of an update", 3, after=False), READ_ONLY, "read-only disk: make it writable",
            marks=pytest.mark.slow,
        ),
        pytest.param(Moment("weights", 2, after=False), IN_RUST, "no space left on", marks=pytest.mark.slow),
        pytest.param(Moment("rollouts", 2, after=True), FULL, "no space left on", marks=pytest.mark.slow),
    ],
    ids=["checkpoint", "record", "weights", "rollouts"],
)  # fmt: skip
def test_it_is_one_line_and_the_run_goes_on_once_there_is_room(whole, run, moment, error, said):
    stopped = htpo(*TRAIN, "--output_dir", run.path, first=lambda: moment.do(lambda: fail(error)))
    assert stopped.returncode == 2, stopped.stderr
    assert re.search(said, stopped.stderr.splitlines()[-1])
    assert "Traceback" not in stopped.stderr + stopped.stdout
    resume(run)
    assert_same(run, whole[0])


def test_a_second_run_in_a_folder_is_refused_with_one_line(tmp_path):
    run = RunDirectory(tmp_path / "run")
    with run.taken():
        for arguments in (TRAIN, ["train", "--resume"]):
            refused = htpo(*arguments, "--output_dir", run.path)
            assert refused.returncode == 2
            assert refused.stderr.splitlines()[-1] == (
                f"htpo: output_dir {run.path} is in use by another run (process {os.getpid()} on "
                f"{socket.gethostname()}): wait for its end, or choose another"
            )
    assert not run.path.exists()
