"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

# Before anything imports torch or the hub's client: a test process has one core, and no test may reach for a hub.
os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

from tests.engines.tiny import save_household_model, save_tiny_model


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test of verl begins in a process that verl can work in: it must know that before anything of it is imported."""
    if item.get_closest_marker("verl"):
        from tests.engines.verl.worker import start_processes

        start_processes()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real benchmark data beside the repository; tests that need it are skipped without it."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no benchmark data at {folder}")
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> str:
    """Folder of a tiny random Qwen3 and its tokenizer."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def word_model(tmp_path_factory) -> str:
    """Folder of a tiny random Qwen3 with household's words as tokens."""
    return save_household_model(tmp_path_factory.mktemp("words"))
