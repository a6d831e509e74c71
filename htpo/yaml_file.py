"""YAML that a user wrote: read as plain data, or refused in one line, whatever stands in it."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from htpo.errors import UserError

MOST_VALUES = 100_000  # aliases written out: a few lines of YAML can stand for billions
PLAIN = (str, int, float, bool, type(None))


def read_yaml(path: Path) -> Any:
    """What a YAML file holds: mappings, lists and plain values.

    Raises:
        UserError: it cannot be read, is no YAML, or holds what no options are; see `parse_yaml`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # not there, not UTF-8, or no name of a file
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error


def parse_yaml(text: str) -> Any:
    """A text as YAML.

    Raises:
        ValueError: it is none, a key stands twice, it refers to itself or grows beyond bounds by aliases, or it holds
            something other than mappings, lists, texts, numbers, true, false and null; in one line.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        value = loader.construct_document(node)
        _check_plain(value)
        return value
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    finally:
        if loader is not None:
            loader.dispose()


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error (plain YAML silently keeps the last), and a date is a text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 a class attribute of the loader's
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # refused below
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _check_size(root: yaml.Node) -> None:
    """Refuse aliases that refer to what they stand in, or that write out too much."""
    sizes: dict[int, int | None] = {}  # None while it is being counted

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node), 0)
        if known is None:
            raise ValueError(f"an alias stands in what it refers to, line {node.start_mark.line + 1}")
        if known:
            return known
        sizes[id(node)] = None
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        total = 1 + (0 if isinstance(node, yaml.ScalarNode) else sum(size(part) for part in parts))
        if total > MOST_VALUES:
            raise ValueError(f"it comes to more than {MOST_VALUES:,} values when aliases are written out")
        sizes[id(node)] = total
        return total

    size(root)


def _check_plain(value: Any) -> None:
    """Refuse bytes, sets and tagged dates, which YAML has and options have not."""
    if isinstance(value, dict):
        for key, part in value.items():
            _check_plain(key)
            _check_plain(part)
    elif isinstance(value, list):
        for part in value:
            _check_plain(part)
    elif not isinstance(value, PLAIN):
        raise ValueError(f"{value!r} is a {type(value).__name__}, which no option is")
