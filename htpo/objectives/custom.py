"""Changing a table from a configuration: other axes, another base, one group alone, single cells."""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from htpo.objectives.axes import AXES, Axis, check_partition, name_of
from htpo.objectives.options import check_fraction
from htpo.objectives.rules import find_rule, rule_options
from htpo.objectives.table import Cell, Detach

Table = Mapping[tuple[str, ...], Cell]
OF_CELLS = ("weight", "clip_low", "clip_high")
DETACH = {"detach_lowest": "lowest", "detach_highest": "highest"}


def load_plugin(module: str | None) -> None:
    """Import a user's module, so that the axes and rules it registers are known.

    Raises:
        ValueError: it cannot be imported.
    """
    if module is None:
        return
    if not isinstance(module, str) or not all(part.isidentifier() for part in module.split(".")):
        raise ValueError(f"plugin is {module!r}, needs the name of a module, such as my_objective")
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"plugin {module!r} cannot be imported ({error}): is it on PYTHONPATH?") from error
    except Exception as error:
        raise ValueError(f"plugin {module!r} fails when imported: {type(error).__name__}: {error}") from error


def make_axes(given: object, own_options: Mapping[str, Mapping[str, Any]]) -> tuple[Axis, ...]:
    """Axes from a list of names, or of `{name: options}`; `own_options` are those an objective gives its own axes.

    Raises:
        ValueError: an axis is unknown or twice there, or does not take its options.
    """
    if not isinstance(given, list | tuple):
        raise ValueError(f"axes is {given!r}, needs a list such as [difficulty, correctness, entropy]")
    axes: list[Axis] = []
    names: list[str] = []
    for entry in given:
        name, options = next(iter(entry.items())) if isinstance(entry, dict) and len(entry) == 1 else (entry, {})
        if not isinstance(name, str) or name not in AXES:
            raise ValueError(f"unknown axis {name!r}, there are {', '.join(AXES)}")
        if name in names:
            raise ValueError(f"axis {name!r} is listed twice")
        names.append(name)
        axes.append(_make_axis(name, {} if options is None else options, own_options.get(name, {})))
    check_partition(axes)
    return tuple(axes)


def _make_axis(name: str, options: object, own_options: Mapping[str, Any]) -> Axis:
    if not isinstance(options, dict):
        raise ValueError(f"options of axis {name!r} are {options!r}, needs a mapping such as {{option: value}}")
    taken = inspect.signature(AXES[name]).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        for option in options:
            if option not in taken:
                raise ValueError(f"axis {name!r} has no option {option!r}, it has {', '.join(taken) or 'none'}")
    try:
        axis: Axis = AXES[name](**{**own_options, **options})
    except TypeError as error:
        raise ValueError(f"axis {name!r} cannot be made with {options}: {error}") from error
    return axis


def derive(table: Table, parents: Sequence[Axis], axes: Sequence[Axis], base: Cell) -> dict[tuple[str, ...], Cell]:
    """A table over other axes: what the parent says of every combination of levels, or `base` where it disagrees.

    A rule belongs to an axis's level, not to a level's name: another axis may call its levels the same. Leaving an axis
    out merges cells: where the merged ones agree their rule stays. Adding one splits them: each part keeps the rule.
    """
    place = {name_of(axis): i for i, axis in enumerate(parents)}
    derived = {}
    for levels in product(*(axis.levels for axis in axes)):
        named = zip(map(name_of, axes), levels, strict=True)
        asked = {place[name]: level for name, level in named if name in place}
        cells = {cell for parent, cell in table.items() if all(parent[i] == level for i, level in asked.items())}
        derived[levels] = cells.pop() if len(cells) == 1 else base
    return derived


def override(table: Table, axes: Sequence[Axis], changes: object, scope: str) -> dict[tuple[str, ...], Cell]:
    """The table with some cells replaced.

    Args:
        axes: of the table.
        changes: what to put where. A key is one or more levels ("hard correct high", "wrong", "entropy=high"): all
            cells that have them; later keys win. A value is the name of a rule, or `{rule: name, detach_lowest: share,
            detach_highest: share, options of the rule, OF_CELLS}`, and stands in place of all that the cell had; or
            `OF_CELLS` alone (`{weight: 0.5, clip_high: 0.4}`), which leaves the rest as it is.
        scope: over which detached shares are taken, "response", "turn" or "batch".

    Raises:
        ValueError: no cell has the levels, a level is one of two axes, or the value is not understood.
    """
    if not isinstance(changes, dict):
        raise ValueError(f"cells is {changes!r}, needs a mapping such as {{'hard correct high': ppo}}")
    changed = dict(table)
    for key, value in changes.items():
        for levels in matching(table, axes, "cells", key):
            changed[levels] = parse_cell(key, value, scope, changed[levels])
    return changed


def matching(table: Table, axes: Sequence[Axis], option: str, key: object) -> list[tuple[str, ...]]:
    """The cells that have all levels named in `key`, as `level`, or as `axis=level` where axes share a level's name.

    Raises:
        ValueError: there is none, or a level is ambiguous; the message names `option` and the axes.
    """
    words = str(key).replace("/", " ").split()
    found = list(table) if words else []
    for word in words:
        name, _, level = word.rpartition("=")
        owners = [i for i, axis in enumerate(axes) if level in axis.levels and name in ("", name_of(axis))]
        if len(owners) > 1:
            names = [name_of(axes[i]) for i in owners]
            raise ValueError(
                f"{option}: {level!r} in {str(key)!r} is a level of {' and of '.join(f'axis {n!r}' for n in names)}, "
                f"write {' or '.join(f'{n}={level}' for n in names)}"
            )
        found = [levels for levels in found if owners and levels[owners[0]] == level]
    if not found:
        known = sorted({level for levels in table for level in levels})
        raise ValueError(f"{option}: no cell has the levels {str(key)!r}, levels are {', '.join(known) or 'none'}")
    return found


def parse_cell(where: str, value: object, scope: str, standing: Cell) -> Cell:
    """One cell from its name or mapping, in place of the one that stands there; see `override`."""
    options: dict[str, Any] = (
        {"rule": value} if isinstance(value, str) else dict(value) if isinstance(value, dict) else {}
    )
    try:
        if options and set(options) <= set(OF_CELLS):
            return replace(standing, **options)
    except ValueError as error:
        raise ValueError(f"cells: {where!r}: {error}") from error
    if "rule" not in options:
        raise ValueError(
            f"cells: {where!r} is {value!r}, needs the name of a rule, {{rule: name, ...}} or {{{', '.join(OF_CELLS)}}}"
        )
    name = options.pop("rule")
    ends = [key for key in DETACH if key in options]
    if len(ends) > 1:
        raise ValueError(f"cells: {where!r} has both detach_lowest and detach_highest, needs at most one")
    detach = None
    for key in ends:
        share = options.pop(key)
        check_fraction(f"cells: {key} of {where!r}", share, zero=True)
        detach = Detach(DETACH[key], share, scope)
    try:
        taken = rule_options(name)
        own = {option: options.pop(option) for option in OF_CELLS if option in options and option not in taken}
        return Cell(find_rule(name, options), detach, tuple(options.items()), **own)
    except ValueError as error:
        raise ValueError(f"cells: {where!r}: {error}") from error
