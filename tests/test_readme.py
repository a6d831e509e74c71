"""What the README shows runs as it stands."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from htpo.cli.data import CheckOptions, ShowOptions
from htpo.cli.evaluate.options import options_parser
from htpo.cli.train import _parser
from htpo.objectives import objective_options

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.split("\n", 1)[0])
def test_a_python_example_runs(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "htpo").symlink_to(ROOT / "htpo")
    exec(compile(snippet, "README.md", "exec"), {"__name__": "readme"})


def test_there_are_examples():
    assert len(SNIPPETS) == 2


def test_every_option_it_names_exists():
    known = {action.dest for parser in (_parser(), options_parser()) for action in parser._actions} | set(
        objective_options("htpo")
    )
    known |= {field.name for kind in (CheckOptions, ShowOptions) for field in fields(kind)}
    of_others = {"standalone", "nproc_per_node", "config_file", "options", "parallel", "device", "long"}
    of_others |= {"compare", "output"}
    assert set(re.findall(r"--([a-z_]+)", README)) <= known | of_others
