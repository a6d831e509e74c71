"""What the tests of tasks share."""

import pytest

from tests.tasks.data import sums, write_rows


@pytest.fixture
def forty(tmp_path):
    return write_rows(tmp_path / "forty.jsonl", sums(40))
