"""Recipes, studies and tables with anything in them: taken, or refused in one line, before anything is loaded."""

import random
import shutil
import sys
import time
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
import yaml

from htpo.analysis.logic_words import read_logic_words
from htpo.cli.built_in import RECIPES, STUDIES, built_in
from htpo.cli.options import read_flags
from htpo.cli.study import run_study
from htpo.cli.train import _parser, train_from_arguments
from htpo.engines import job
from htpo.errors import UserError
from htpo.objectives import OBJECTIVES, make_objective
from htpo.objectives.registry import objective_options
from htpo.yaml_file import parse_yaml, read_yaml

TABLE = {
    "axes": ["difficulty", {"entropy": {"fraction": 0.1, "scope": "batch"}}, {"position": {"share": 0.5}}],
    "cells": {"hard high": {"rule": "ppo", "clip_high": 0.4, "weight": 2, "detach_lowest": 0.01}, "easy": "zero"},
    "only": "hard high",
    "base": "sapo",
}
JUNK = [
    *(None, True, False, 0, -1, 1, 3.7, 10**30, -(10**30), float("inf"), float("nan"), 1e-300),
    *(
        "",
        " ",
        "nonsense",
        "no",
        "é\u2028",
        "--help",
        "-h",
        "-1",
        "{",
        '{"a": 1}',
        "[1]",
        "1e5",
        "../x",
        "a/b",
        "x" * 5000,
    ),
    *([], [[]], [None], ["a", "b"], [1, [2, [3]]], [{}], "2026-13-45"),
    *({}, {"a": None}, {"a": {"b": [1]}}, {1: 2}, {None: 1}, {True: "x"}, {"": ""}),
]
TEXTS = [
    *("!!python/object/apply:os.system ['touch hacked']", "!!python/name:os.system", "!!binary aGk=", "!!set {a, b}"),
    *(
        "!!timestamp 2026-01-01",
        "!!int abc",
        "!!float abc",
        "!!omap [a: 1]",
        "!mine {a: 1}",
        "2026-99-99",
        "2026-01-01",
    ),
    *("&a [*a]", "&a {b: *a}", "*nothing", "[" * 3000, "? [a, b]\n  : 1", "? {a: 1}\n  : 1", "{[a]: 1}", "9" * 5000),
    *(".nan", "-.inf", "0x", "0b", "1:99:99", "<<: 3", "{<<: [1]}", "|\n   text", "%TAG", "\t", "a: b: c", "'"),
    *('"\\ud800"', '"\\x00"', "---", "..."),
]
BYTES = [b"\xff\xfe", b"\x00", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x80", b"\x1b[31m"]


WITH_OPTIONS = [name for name in OBJECTIVES if objective_options(name)]


class Accepted(Exception):
    """All options were taken; what follows takes time."""


def bomb(depth: int, merge: bool) -> str:
    """Aliases of aliases: `depth` lines that stand for 9 to the power of it."""
    lines = ["a0: &a0 {x: 1}" if merge else "a0: &a0 [x]"]
    for i in range(1, depth):
        parts = ", ".join([f"*a{i - 1}"] * 9)
        lines.append(f"a{i}: &a{i} " + (f"{{<<: [{parts}]}}" if merge else f"[{parts}]"))
    return "\n".join(lines)


def places(content: Any, at: tuple = ()) -> list[tuple]:
    """The way to everything that stands in nested mappings and lists."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [at, *(place for key, value in inside for place in places(value, (*at, key)))]


def mutated(content: dict, draw: random.Random) -> bytes:
    """A valid file with something wrong, now and then with several things."""
    content = deepcopy(content)
    for _ in range(draw.choice([1, 1, 2])):
        if not content:
            break
        *way, last = draw.choice(places(content)[1:])
        holder: Any = content
        for key in way:
            holder = holder[key]
        kind = draw.random()
        if kind < 0.6:
            holder[last] = deepcopy(draw.choice(JUNK))
        elif kind < 0.7:
            del holder[last]
        elif kind < 0.8:
            holder[last] = [holder[last]]
        elif isinstance(holder, dict):
            holder[draw.choice(["nonsense", 3, None, True, 1.5, "", "objective_options", "seed"])] = draw.choice(JUNK)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    if draw.random() < 0.3:
        lines = text.splitlines()
        place = draw.randrange(len(lines))
        name = lines[place].partition(":")[0]
        lines[place] = f"{name}: {draw.choice(TEXTS)}"
        text = "\n".join(lines)
    data = text.encode("utf-8", "surrogatepass")
    if draw.random() < 0.1:
        place = draw.randrange(len(data) + 1)
        data = data[:place] + draw.choice(BYTES) + data[place:]
    return data


def recipes() -> list[dict]:
    found = [read_yaml(path) for path in built_in(RECIPES).values()]
    small = {"objective": "htpo", "dataset": "countdown", "max_steps": 4, "objective_options": TABLE}
    return [*found, small, {**small, "objective": "dapo", "objective_options": {"clip_high": 0.3}}]


def studies() -> list[dict]:
    found = [read_yaml(path) for path in built_in(STUDIES).values()]
    table = {"a": {"objective": "htpo", **TABLE}, "b": {"objective": "dapo"}}
    tasks = {"t": {"dataset": "number_path"}}
    return [*found, {"methods": table, "tasks": tasks, "seeds": [0, 1], "evaluate": {"tasks": ["number_path"]}}]


@pytest.fixture
def at_most_one_line(tmp_path, monkeypatch):
    """Runs a command on a file's content; what it ends with is `Accepted` or a `UserError` of one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("htpo.cli.train._parser", cache(_parser))

    def stop(*_: Any, **__: Any) -> None:
        raise Accepted

    monkeypatch.setattr(job.Job, "_tokenizer", stop)
    monkeypatch.setattr("htpo.cli.study.train_all", stop)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(command, content: bytes, faults: list[str], case: Any) -> bool:
        file = tmp_path / "mine.yaml"
        file.write_bytes(content)
        begun = time.process_time()
        said = None
        try:
            command(str(file))
        except Accepted:
            pass
        except UserError as error:
            said = str(error)
            if "\n" in said or not said or len(said) > 20_000:
                faults.append(f"{case}: not one line: {said[:300]!r}")
        except BaseException as error:
            faults.append(
                f"{case}: {type(error).__name__}: {str(error)[:300]}\n{content.decode(errors='replace')[:600]}"
            )
        if time.process_time() - begun > 20:
            faults.append(f"{case}: it took {time.process_time() - begun:.0f} s")
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        if (tmp_path / "hacked").exists():
            faults.append(f"{case}: a command in it was run")
        return said is not None

    return run


def by_train(file: str) -> None:
    train_from_arguments([file])


def by_study(file: str) -> None:
    run_study(file, output_dir=None, parallel=1, report_only=False)


@pytest.mark.parametrize("part", range(2))
def test_a_recipe_with_anything_in_it_is_taken_or_refused_in_one_line(at_most_one_line, part):
    faults: list[str] = []
    kinds = recipes()
    refused = 0
    for number in range(40 * part, 40 * part + 40):
        draw = random.Random(number)
        refused += at_most_one_line(by_train, mutated(draw.choice(kinds), draw), faults, number)
    assert faults == []
    assert 10 < refused < 40


def test_a_study_with_anything_in_it_is_taken_or_refused_in_one_line(at_most_one_line):
    faults: list[str] = []
    kinds = studies()
    refused = 0
    for number in range(40):
        draw = random.Random(number)
        refused += at_most_one_line(by_study, mutated(draw.choice(kinds), draw), faults, number)
    assert faults == []
    assert 10 < refused < 40


def test_a_table_with_anything_in_it_is_taken_or_refused_in_one_line():
    faults, refused = [], 0
    for number in range(300):
        draw = random.Random(number)
        name = draw.choice([*WITH_OPTIONS, *["htpo"] * 10])
        options = {**objective_options(name), **(TABLE if name == "htpo" and draw.random() < 0.9 else {})}
        try:
            options = parse_yaml(mutated({k: options[k] for k in draw.sample([*options], len(options))}, draw).decode())
        except ValueError:
            continue
        try:
            make_objective(name, **options) if all(isinstance(key, str) for key in options) else None
        except ValueError as error:
            refused += 1
            if "\n" in str(error):
                faults.append(f"{number}: {error}")
        except BaseException as error:
            faults.append(f"{number}: {name} {options}: {type(error).__name__}: {error}")
    assert faults == []
    assert refused > 100


@pytest.mark.parametrize("command", [by_train, by_study], ids=["train", "study"])
def test_every_odd_text_is_taken_or_refused_in_one_line(at_most_one_line, command):
    faults: list[str] = []
    for text in [*TEXTS, bomb(30, merge=False), bomb(12, merge=True)]:
        at_most_one_line(command, text.encode("utf-8"), faults, text[:40])
        at_most_one_line(command, f"objective: htpo\nobjective_options: {text}".encode(), faults, text[:40])
    assert faults == []


@pytest.mark.parametrize("merge", [False, True])
def test_aliases_that_stand_for_billions_of_values_are_refused(tmp_path, merge):
    (tmp_path / "bomb.yaml").write_text(bomb(12, merge))
    with pytest.raises(UserError, match="comes to more than 100,000 values"):
        read_yaml(tmp_path / "bomb.yaml")


def test_an_alias_may_be_used_as_it_is_meant_to(tmp_path):
    (tmp_path / "mine.yaml").write_text("a: &a {x: 1, y: [1, 2]}\nb: {<<: *a, x: 2}\nc: *a\nd: 2026-01-01\n")
    read = read_yaml(tmp_path / "mine.yaml")
    assert read == {
        "a": {"x": 1, "y": [1, 2]},
        "b": {"x": 2, "y": [1, 2]},
        "c": {"x": 1, "y": [1, 2]},
        "d": "2026-01-01",
    }


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_odd_words_that_extend_a_list_of_logic_words_are_refused_in_one_line(tmp_path, text):
    (tmp_path / "words.yaml").write_text(f"contrast: {text}", encoding="utf-8")
    with pytest.raises(UserError) as refused:
        read_logic_words(tmp_path / "words.yaml")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_flag_of_any_text_is_read(text):
    assert set(read_flags(["--name", "other", "--name=" + text])) == {"name"}
