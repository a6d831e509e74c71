from collections import Counter

import pytest

from htpo.runs import RunDirectory
from tests.cli.command import htpo
from tests.faults.moments import count_calls
from tests.faults.small_run import TRAIN


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> tuple[RunDirectory, Counter]:
    """The uninterrupted run, and how often it came to each kind of moment."""
    folder = tmp_path_factory.mktemp("whole")
    calls = folder / "calls"
    done = htpo(*TRAIN, "--output_dir", folder / "run", first=lambda: count_calls(calls))
    assert done.returncode == 0, done.stderr
    return RunDirectory(folder / "run"), Counter(calls.read_text().splitlines())


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")
