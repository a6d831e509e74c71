"""Recipes and studies that come with the package, by name, and help that names what is built in."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from htpo.errors import UserError

PACKAGE = Path(__file__).parent.parent
RECIPES, STUDIES = "recipes", "recipes/studies"
WIDTH = 78  # of a line of help


def built_in(folder: str) -> dict[str, Path]:
    """The files of `RECIPES` or `STUDIES` by name."""
    return {path.stem: path for path in sorted((PACKAGE / folder).glob("*.yaml"))}


def find_yaml(name: str, kind: str, folder: str) -> Path:
    """The file itself when `name` has a suffix, else the built-in one of that name in a folder of the package."""
    if Path(name).suffix:
        return Path(name)
    known = built_in(folder)
    if name not in known:
        raise UserError(f"no {kind} {name!r}: give a .yaml file or one of {', '.join(known)}")
    return known[name]


class TrainCommand(TyperCommand):
    """Puts the names of recipes and objectives into its help when that is asked for: the latter takes loading torch."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        from htpo.objectives import OBJECTIVES

        self.help = _filled(_filled(self.help or "", "{recipes}", [*built_in(RECIPES)]), "{objectives}", [*OBJECTIVES])
        super().format_help(ctx, formatter)


def _filled(text: str, mark: str, names: Sequence[str]) -> str:
    """`text` with the names, separated by commas, from where `mark` stands on, in as many lines as they take."""
    column = text.index(mark) - text.rindex("\n", 0, text.index(mark)) - 1
    lines = textwrap.wrap(", ".join(names), WIDTH - column)
    return text.replace(mark, ("\n" + " " * column).join(lines))
