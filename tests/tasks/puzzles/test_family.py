"""What every family of puzzles promises: seeded draws, held-out prompts, exact verifiers, a base policy that fits."""

import hashlib
import random
from importlib import import_module
from inspect import signature

import pytest

from htpo.errors import UserError
from htpo.tasks import PUZZLE_FAMILIES, DataOptions, load_task
from htpo.tasks.puzzles.family import is_held_out
from htpo.tasks.puzzles.latin_square import latin_square_task

DIFFICULTY = {  # the option and what it counts
    "number_path": ("steps", lambda row: row["solution"].count("=")),
    "countdown": ("count", lambda row: len(row["prompt"].split())),
    "latin_square": ("clues", lambda row: 25 - row["prompt"].count("_")),
}
PUBLISHED = {
    "number_path": "4852c9d704dad3f2",
    "countdown": "82517a8ad643b95e",
    "latin_square": "bdadadcdb3f28646",
}
LONGEST_RESPONSE = 25  # tokens before the end: quickstart's soft overlong punishment starts after 26 of 32


@pytest.fixture(params=PUZZLE_FAMILIES)
def name(request):
    return request.param


@pytest.fixture
def family(name):
    return import_module(f"htpo.tasks.puzzles.{name}")


@pytest.fixture
def make_task(name, family):
    return getattr(family, f"{name}_task")


def test_every_given_solution_is_right_and_no_prompt_is_both_trained_on_and_held_out(name):
    task = load_task(DataOptions(dataset=name, train_prompts=2000, held_out_prompts=200), seed=3)
    for part in (task.train, task.held_out):
        assert all(verdict.correct for verdict in task.verifier.judge(part["solution"][:], list(part)))
    train, held_out = set(task.train["prompt"]), set(task.held_out["prompt"])
    assert (len(train), len(held_out)) == (2000, 200)
    assert not any(map(is_held_out, train))
    assert all(map(is_held_out, held_out))


def test_decoys_are_well_formed_and_mostly_wrong(name, family):
    rng = random.Random(0)
    puzzles = [family.draw_puzzle(rng) for _ in range(500)]
    task = load_task(DataOptions(dataset=name, train_prompts=1))
    verdicts = task.verifier.judge([puzzle["decoy"] for puzzle in puzzles], puzzles)
    assert not any(verdict.failure for verdict in verdicts)
    assert 0 < sum(verdict.correct for verdict in verdicts) < 100


def test_puzzles_are_short_and_written_with_the_characters_the_base_policy_knows(family):
    rng = random.Random(1)
    for puzzle in (family.draw_puzzle(rng) for _ in range(500)):
        assert max(len(puzzle["solution"]), len(puzzle["decoy"])) <= LONGEST_RESPONSE
        assert set("".join(puzzle.values())) <= set(family.CHARACTERS)


def test_the_seed_decides_the_puzzles(make_task):
    assert make_task(20, 5, 1).train.to_list() == make_task(20, 5, 1).train.to_list()
    assert make_task(20, 5, 1).train["prompt"][:] != make_task(20, 5, 2).train["prompt"][:]
    assert make_task(20, 0, 1).held_out is None


def test_difficulty_is_a_parameter_and_its_default_mixes(name, family, make_task):
    option, difficulty = DIFFICULTY[name]
    fewest, most = signature(family.draw_puzzle).parameters[option].default
    mixed, even = make_task(200, 0, 0), make_task(200, 0, 0, **{option: (most, most)})
    assert {difficulty(row) for row in mixed.train} == set(range(fewest, most + 1))
    assert {difficulty(row) for row in even.train} == {most}


def test_impossible_numbers_of_prompts_are_refused(make_task):
    with pytest.raises(UserError, match="train_prompts=0"):
        make_task(0, 10, 0)
    with pytest.raises(UserError, match="held_out_prompts=-1"):
        make_task(1, -1, 0)


def test_more_prompts_than_there_are_puzzles_are_refused():
    with pytest.raises(UserError, match="hardly more Latin squares .* lower train_prompts=2"):
        latin_square_task(2, 0, 0, clues=(0, 0))


def test_a_prompt_of_another_family_is_refused(name):
    with pytest.raises(UserError, match=f"not a {name.replace('_', ' ')} prompt: 'What is 1"):
        load_task(DataOptions(dataset=name, train_prompts=1)).verifier.judge(["2"], [{"prompt": "What is 1 + 1?"}])


def test_the_published_prompts_never_change(name):
    """Seed 0 as its prompts were when the base policies were made; number_path's since the first release."""
    task = load_task(DataOptions(dataset=name, train_prompts=1000, held_out_prompts=100), seed=0)
    text = "\n".join(row["prompt"] + row["solution"] for part in (task.train, task.held_out) for row in part)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == PUBLISHED[name]
