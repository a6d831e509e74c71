"""The architecture: which room may import which."""

import ast
from pathlib import Path

import pytest

import htpo

PACKAGE = Path(htpo.__file__).parent
BELOW = {
    "statistics": set(),
    "objectives": set(),
    "workers": set(),
    "verifiers": {"workers"},
    "environments": {"workers"},
    "tasks": {"verifiers"},
    "playing": {"environments", "tasks", "verifiers"},
    "runs": {"statistics"},
    "evaluate": {"playing", "environments", "tasks", "verifiers", "runs", "statistics"},
    "analysis": {"runs", "evaluate", "tasks", "verifiers", "statistics"},
    "figures": {"analysis", "evaluate", "runs", "tasks", "verifiers", "statistics"},
    "engines": {"objectives", "evaluate", "figures", "analysis", "tasks", "verifiers", "runs", "statistics"}
    | {"environments", "playing"},
    "study": {"runs", "evaluate", "figures", "analysis", "statistics"},
    "report": {"study", "figures", "analysis", "evaluate", "tasks", "verifiers", "runs", "statistics"},
    "cli": {"report", "study", "engines", "figures", "analysis", "evaluate", "objectives", "tasks", "verifiers"}
    | {"environments", "playing", "runs", "statistics"},
}
DRAWS = {"matplotlib", "wordcloud"}
FOREIGN = {
    "objectives": {"trl", "verl", "transformers", "datasets"} | DRAWS,
    "tasks": {"trl", "verl", "torch"} | DRAWS,
    "verifiers": {"trl", "verl", "torch", "transformers", "datasets"} | DRAWS,
    "environments": {"trl", "verl", "torch", "transformers", "datasets"} | DRAWS,
    "playing": {"trl", "verl", "torch"} | DRAWS,
    "workers": {"trl", "verl", "torch", "transformers", "datasets"} | DRAWS,
    "runs": {"trl", "verl", "torch"} | DRAWS,
    "evaluate": {"trl", "verl"} | DRAWS,
    "analysis": {"trl", "verl"} | DRAWS,
    "engines": DRAWS,
    "study": {"trl", "verl"} | DRAWS,
    "statistics": {"trl", "verl", "torch"} | DRAWS,
    "report": {"trl", "verl", "torch"} | DRAWS,
}


def imports_of(room: str) -> set[str]:
    return set().union(*map(imports_of_file, (PACKAGE / room).rglob("*.py")))


def imports_of_file(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_every_room_is_listed():
    rooms = {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()}
    assert rooms == set(BELOW)


@pytest.mark.parametrize("room", BELOW)
def test_a_room_imports_only_the_rooms_below_it(room):
    rooms = {name.split(".")[1] for name in imports_of(room) if name.startswith("htpo.")}
    assert rooms & set(BELOW) <= BELOW[room] | {room}


@pytest.mark.parametrize("room", FOREIGN)
def test_a_room_knows_nothing_of_what_it_must_not(room):
    assert not {name.split(".")[0] for name in imports_of(room)} & FOREIGN[room]


def test_what_engines_share_knows_none_of_them():
    for file in (PACKAGE / "engines").glob("*.py"):
        imported = imports_of_file(file)
        assert not {name.split(".")[0] for name in imported} & {"trl", "verl", "accelerate"}, file
        assert not [name for name in imported if name.startswith(("htpo.engines.trl", "htpo.engines.verl"))], file


@pytest.mark.parametrize(("engine", "other"), [("trl", "verl"), ("verl", "trl")])
def test_engines_know_nothing_of_each_other(engine, other):
    imported = imports_of(f"engines/{engine}")
    assert not [name for name in imported if name.startswith((f"{other}.", f"htpo.engines.{other}")) or name == other]
