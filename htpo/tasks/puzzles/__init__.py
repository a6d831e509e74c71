"""Built-in puzzles, made here, each family with a small base policy that solves some of them.

A family is a module of this folder, named as in `--dataset NAME`; see `family` for what it holds.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

PUZZLE_FAMILIES = ("number_path", "countdown", "latin_square")


def maker_of(family: str) -> Callable[..., Any]:
    """The function that makes a family's task."""
    maker: Callable[..., Any] = getattr(import_module(f"{__name__}.{family}"), f"{family}_task")
    return maker
