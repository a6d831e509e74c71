"""Environments by name, and a user's own by import path."""

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from htpo.environments.environment import Environment
from htpo.errors import UserError

ENVIRONMENTS = {
    "household": "htpo.environments.household.environment:Household",
    "alfworld": "htpo.environments.alfworld.environment:AlfWorld",
    "webshop": "htpo.environments.webshop.environment:WebShop",
}
"""The classes that come with the package, imported when they are asked for."""

ASKED = ("rows", "reset", "step", "walkthrough")


_CLASS = re.compile(r"[\w.]+:[A-Z]\w*(:\w+)?")  # a user's own, as package.module:Class


def is_environment(label: str) -> bool:
    """Whether a label of `--dataset` names an environment; a user's own by the capital of its class."""
    return label.partition(":")[0] in ENVIRONMENTS or _CLASS.fullmatch(label) is not None


@dataclass(frozen=True)
class EnvironmentLabel:
    """An environment as a user writes it: `NAME[:SPLIT]` or `package.module:Class[:SPLIT]`."""

    name: str  # what the user wrote, without the split
    path: str  # of the class
    split: str | None

    @property
    def own(self) -> bool:
        """Whether it is a class of the user's, and none that comes with the package."""
        return self.name not in ENVIRONMENTS

    @classmethod
    def parse(cls, label: str) -> "EnvironmentLabel":
        """The environment that a label names; nothing is imported.

        Raises:
            UserError: it names none.
        """
        first, *rest = label.split(":")
        if first in ENVIRONMENTS and len(rest) < 2:
            return cls(first, ENVIRONMENTS[first], rest[0] if rest else None)
        if len(rest) in (1, 2) and all([first, *rest]):
            return cls(f"{first}:{rest[0]}", f"{first}:{rest[0]}", rest[1] if len(rest) == 2 else None)
        known = ", ".join(ENVIRONMENTS)
        raise UserError(f"there is no environment {label!r}: give one of {known}, or your own as package.module:Class")


def make_environment(path: str, options: Mapping[str, Any]) -> Environment:
    """An instance of the class at `package.module:Class`; the current folder is looked in, too.

    Raises:
        UserError: there is no such class, it lacks what an `Environment` has, or it does not take the options.
    """
    module_name, _, name = path.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        kind = getattr(importlib.import_module(module_name), name)
    except Exception as error:
        raise UserError(f"environment {path!r} cannot be imported: {type(error).__name__}: {error}") from error
    if not inspect.isclass(kind):
        raise UserError(f"environment {path!r} is no class")
    lacking = [member for member in ASKED if not callable(getattr(kind, member, None))]
    if lacking:
        raise UserError(f"environment {path!r} has no method {', '.join(lacking)}; see htpo.environments.Environment")
    try:
        inspect.signature(kind).bind(**options)
    except TypeError:
        takes = ", ".join(inspect.signature(kind).parameters) or "none"
        raise UserError(
            f"environment {path!r} was given the options {', '.join(options) or 'none'}; it takes: {takes}"
        ) from None
    made = cast(Environment, kind(**options))
    if not isinstance(made.max_steps, int) or made.max_steps < 1 or isinstance(made.splits, str) or not made.splits:
        raise UserError(
            f"environment {path!r} must have max_steps, at least 1, and splits, the names of its sets of tasks"
        )
    return made
