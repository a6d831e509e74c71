"""Options of a run against the tables of what they may be, which feature they belong to and which have no use."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from htpo.engines.option_tables import CHOICES, FEATURES, RANGES
from htpo.errors import UserError


def check_values(options: Any) -> None:
    """Refuse numbers out of range and unknown words among a dataclass's fields.

    Raises:
        UserError: naming the first such option, its value and what it may be.
    """
    for name in (field.name for field in fields(options)):
        value = getattr(options, name)
        if value is None:
            continue
        if name in RANGES and not _inside(value, RANGES[name]):
            raise UserError(f"{name} is {value}, needs to be {_in_words(RANGES[name])}")
        if name in CHOICES and not _words(value) <= set(CHOICES[name]):
            raise UserError(f"{name} is {value!r}, needs one of {', '.join(filter(None, CHOICES[name]))}")


def refuse_without_feature(options: Any) -> None:
    """Refuse fields that were changed, other than switched off, while what they belong to is off.

    Raises:
        UserError: naming the first such option and the feature.
    """
    given = {name: value for name, value in changed(options).items() if value is not False}
    for feature in FEATURES:
        if hasattr(options, feature.switch) and not feature.is_on(getattr(options, feature.switch)):
            for name in (name for name in feature.options if name in given):
                raise UserError(f"{name}={given[name]!r} has no effect: {feature.remedy()}; give that, or leave it out")


def refuse_unused(options: Any, unused: Mapping[str, str]) -> None:
    """Refuse fields that were changed though nothing reads them.

    Args:
        unused: the reason, or what to give instead, by option, or by option and value where others are used.

    Raises:
        UserError: naming the first such option.
    """
    given = changed(options)
    for name, reason in unused.items():
        option, _, value = name.partition(" ")
        if option in given and value in ("", given[option]):
            raise UserError(f"{option}={given[option]!r} has no effect here: {reason}")


def as_mappings(options: Any, names: Iterable[str]) -> None:
    """Read JSON texts among options that hold mappings, in place.

    Raises:
        UserError: a value is no mapping, naming the option.
    """
    for name in names:
        value = getattr(options, name)
        try:
            value = json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise UserError(f"{name} is {value!r}, needs a mapping as JSON: {error}") from error
        if value is not None and not isinstance(value, dict):
            raise UserError(f"{name} must be a mapping, got {value!r}")
        setattr(options, name, value)


def check_config_files(options: Any, names: Iterable[str]) -> None:
    """Refuse options that are neither a mapping nor a JSON file that can be read, and deepspeed where it is missing.

    Raises:
        UserError: naming the option and what is wrong.
    """
    for name in names:
        given = getattr(options, name)
        if not given or not isinstance(given, str | dict):
            continue
        try:
            text = given if isinstance(given, dict) or given.startswith("{") else Path(given).read_text("utf-8")
            content = json.loads(text) if isinstance(text, str) else text
        except (OSError, ValueError) as error:
            raise UserError(
                f"{name}: cannot read {given} ({' '.join(str(error).split())}): give a JSON file"
            ) from error
        if not isinstance(content, dict):
            raise UserError(f"{name}: {given} must hold a JSON mapping")
        if name == "deepspeed" and find_spec("deepspeed") is None:
            raise UserError("deepspeed needs the package deepspeed: pip install deepspeed, or leave it out")


def changed(options: Any) -> dict[str, Any]:
    """The fields of a dataclass whose value is not the default, with that value in plain form."""
    found = {}
    for field in fields(options):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        value = _plain(getattr(options, field.name))
        if value != _plain(default):
            found[field.name] = value
    return found


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _words(value: Any) -> set[str]:
    values = value if isinstance(value, list | tuple) else str(_plain(value)).split(" ")
    return {str(_plain(v)) for v in values}


def _inside(value: Any, interval: str) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return False
    low, high = map(float, interval[1:-1].split(","))
    above = value > low or (interval[0] == "[" and value == low)
    return above and (value < high or (interval[-1] == "]" and value == high))


def _in_words(interval: str) -> str:
    low, high = interval[1:-1].split(", ")
    parts = []
    if low != "-inf":
        parts.append(f"{'at least' if interval[0] == '[' else 'above'} {low}")
    if high != "inf":
        parts.append(f"{'at most' if interval[-1] == ']' else 'below'} {high}")
    if "inf" in interval:
        parts.append("finite")
    return " and ".join(parts)
