"""Where prompts come from and how a response is judged; imported on first use, so that this package costs nothing."""

from importlib import import_module

_HOMES = {
    "BENCHMARKS": "benchmarks",
    "CodeVerifier": "code_verifier",
    "DataOptions": "data_options",
    "FunctionVerifier": "function_verifier",
    "MathVerifier": "math_verifier",
    "PUZZLE_FAMILIES": "puzzles",
    "Task": "task",
    "Verdict": "task",
    "Verifier": "task",
    "countdown_task": "countdown",
    "latin_square_task": "latin_square",
    "limit_prompt_lengths": "prompt_lengths",
    "load_task": "sources",
    "number_path_task": "number_path",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
