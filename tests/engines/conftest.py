import pytest


@pytest.fixture(scope="package", autouse=True)
def _quiet_trl():
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
        yield
