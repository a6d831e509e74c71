"""What the tests of the code verifier share."""

import pytest

from htpo.verifiers.code.verifier import CodeVerifier


@pytest.fixture(scope="module")
def verifier():
    verifier = CodeVerifier(timeout=1.0, solution_timeout=10.0, memory_limit_mb=512)
    yield verifier
    verifier.close()
