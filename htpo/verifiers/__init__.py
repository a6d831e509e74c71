"""How a response is judged; imported on first use, so that worker programs, which are in here, start at once."""

from importlib import import_module
from typing import Any

_HOMES = {
    "CodeVerifier": "code.verifier",
    "FunctionVerifier": "function",
    "MathVerifier": "math.verifier",
    "ReasoningGymVerifier": "reasoning_gym.verifier",
    "Verdict": "verdict",
    "Verifier": "verdict",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
