"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

from tests.engines.tiny import save_tiny_model


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
