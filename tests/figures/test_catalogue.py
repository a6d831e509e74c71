"""The catalogue holds every figure, and no two that would lie in one file."""

import importlib
import inspect
import pkgutil

import pytest

import htpo.figures
from htpo.figures import catalogue

LISTS = {name: entries for name, entries in vars(catalogue).items() if name.startswith("OF_")}


@pytest.mark.parametrize("entries", LISTS.values(), ids=LISTS)
def test_names_are_files_of_their_own_and_a_heading_says_how_to_read(entries):
    assert len({entry.name for entry in entries}) == len(entries)
    assert all(bool(entry.heading) == bool(entry.reading) for entry in entries)


def test_whatever_draws_a_figure_is_listed():
    listed = {entry.draw for entries in LISTS.values() for entry in entries}
    modules = [
        importlib.import_module(found.name) for found in pkgutil.iter_modules(htpo.figures.__path__, "htpo.figures.")
    ]
    for module in modules:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            draws = inspect.signature(function).return_annotation is htpo.figures.drawing.Drawing
            if draws and not name.startswith("_"):
                assert function in listed, f"{function.__module__}.{name} is not in the catalogue"
