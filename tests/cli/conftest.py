"""A tiny model on disk, as a user's own."""

import pytest

from tests.engines.tiny import save_tiny_model


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("model"))
