"""A dataset's row, as it was read."""

from typing import Any

Row = dict[str, Any]


def cell(row: Row, column: str) -> Any:
    """A row's value in a column; dots reach into objects. None where there is none."""
    if column in row:
        return row[column]
    value: Any = row
    for name in column.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value
