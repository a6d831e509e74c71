"""Where prompts come from and how answers are graded; imported on first use, so that this package costs nothing."""

from importlib import import_module
from typing import Any

_HOMES = {
    "BENCHMARKS": "sources.benchmarks",
    "DataOptions": "options",
    "PUZZLE_FAMILIES": "puzzles",
    "Problems": "task",
    "Task": "task",
    "limit_prompt_lengths": "prompt_lengths",
    "load_problems": "load",
    "load_task": "load",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
